"""``backchannel init`` on bare projects: what it writes is green, says something, and is written once."""

from __future__ import annotations

import re
import subprocess
import sys

import pytest
from support.bare_projects import TASKS, init, project, tree, write

pytest.importorskip("channels_redis")
pytest.importorskip("pytest_asyncio")

pytestmark = pytest.mark.slow


def suite(folder, *arguments):
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *arguments]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, done.stdout + done.stderr


def check(folder):
    command = [sys.executable, "-c", "from pytest_backchannel.cli import main; raise SystemExit(main())", "check"]
    done = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    return done.returncode, "" if done.stdout.startswith("Nothing found") else done.stdout + done.stderr


def is_subsequence(lines, of):
    rest = iter(of)
    return all(line in rest for line in lines)


@pytest.fixture
def precious(tmp_path):
    """A file that no trial may touch."""
    file = tmp_path / "precious.txt"
    file.write_text("mine")
    return file


def test_one_settings_module_with_celery_and_channels(tmp_path, precious):
    folder = project(tmp_path / "site", celery=True, channels=True, tasks=TASKS.replace("{precious}", str(precious)))
    before = tree(folder)

    done = init(folder, "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    after = tree(folder)
    assert {name: after[name] for name in before} == before
    assert sorted(after.keys() - before.keys()) == [
        ".github/workflows/tests.yml",
        "config/settings_test.py",
        "conftest.py",
        "pytest.ini",
        "tests/test_real_worker.py",
        "tests/test_shop_tasks.py",
        "tests/test_websockets.py",
    ]
    assert re.search(r"^pytest tests/\S+ .*: \d+ passed", done.stdout, re.MULTILINE), done.stdout
    assert "from .settings import *" in after["config/settings_test.py"]
    assert "backchannel_production_settings = config.settings\n" in after["pytest.ini"]
    assert precious.read_text() == "mine"

    tests = after["tests/test_shop_tasks.py"]
    for line in (
        "assert result.get() == 4",  # add
        "assert result.get() == order.pk",
        "assert order.confirmed",
        "assert order.confirmed_at is not None",
        'assert [(mail.subject, mail.to) for mail in mailoutbox] == [("Confirmed", ["ada@example.com"])]',
        "assert parcel.sent",
        "assert Parcel.objects.count() == 1",
        'assert [message.name for message in task_queue] == ["shop.tasks.send_parcel"]',
        'assert result.get() == "Hello helloHello hello"',
    ):
        assert f"    {line}\n" in tests, (line, tests)

    sockets = after["tests/test_websockets.py"]
    assert "async def test_ws_echo_opens(db, websocket):" in sockets
    assert "assert refused.value.http_status == 403" in sockets
    assert 'websocket(f"/ws/orders/{order.pk}/", user=user)' in sockets
    assert 'assert await browser.receive_json() == {"order": order.pk}' in sockets

    reasons = dict(re.findall(r"^    (\S+)  \[\S+\]: (.*)$", done.stdout, re.MULTILINE))
    assert reasons.keys() == {
        "shop.tasks.nothing_to_see",
        "shop.tasks.by_chance",
        "shop.tasks.ask_the_bank",
        "shop.tasks.tidy",
        "shop.tasks.impatient",
        "shop.tasks.cancel",
        "/ws/broken/",
    }
    assert "it returns nothing" in reasons["shop.tasks.nothing_to_see"]
    assert "not pass each time" in reasons["shop.tasks.by_chance"]
    assert "a connection to ('127.0.0.1', 1)" in reasons["shop.tasks.ask_the_bank"]
    assert str(precious) in reasons["shop.tasks.tidy"]
    assert "retried" in reasons["shop.tasks.impatient"]
    assert "RuntimeError: no order is ever cancelled [shop/tasks.py" in reasons["shop.tasks.cancel"]
    assert "LookupError: nobody has tried this [shop/consumers.py" in reasons["/ws/broken/"]

    code, text = suite(folder)
    assert code == 0, text

    again = init(folder, "--yes")
    assert (again.returncode, tree(folder)) == (0, after), again.stdout + again.stderr
    assert "Nothing to do." in again.stdout

    # What it says of the project as it is was told once, and its rules left out: from here on it tells what is new.
    ignored = re.search(r"^backchannel_check_ignore = (.*)$", after["pytest.ini"], re.MULTILINE)
    assert ignored is not None, f"no rule is left out, and check will speak:\n{after['pytest.ini']}\n{done.stdout}"
    told = re.findall(r"^    (\S+):\d+: (BC\d+) ", done.stdout, re.MULTILINE)
    assert sorted({code for _, code in told}) == ignored[1].split()
    assert not {path for path, _ in told} & (after.keys() - before.keys()), told
    assert check(folder) == (0, "")
    (folder / "shop" / "more.py").write_text(UNRAISED)
    code, text = check(folder)
    assert (code, "shop/more.py:5:" in text, "BC313" in text) == (1, True, True), text


UNRAISED = """\
from celery import shared_task

@shared_task(bind=True)
def again(self):
    self.retry()
"""
PYPROJECT = """
    # The shop.
    [project]
    name = "shop"
    version = "1"   # of the API
    dependencies = [
        "django",  # 5.2
    ]

    [tool.pytest.ini_options]
    # Short is enough.
    addopts = "--tb=line"   # of tracebacks

    # How it is formatted.
    [tool.ruff]
    line-length = 100
"""


def test_a_package_of_settings_with_celery_alone(tmp_path):
    folder = project(tmp_path, celery=True, channels=False, package=True)
    write(folder, "pyproject.toml", PYPROJECT)
    before = tree(folder)

    done = init(folder, "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    after = tree(folder)
    assert sorted(after.keys() - before.keys()) == [
        ".github/workflows/tests.yml",
        "config/settings/test.py",
        "conftest.py",
        "tests/test_real_worker.py",
        "tests/test_shop_tasks.py",
    ]
    assert [name for name in before if after[name] != before[name]] == ["pyproject.toml"]
    assert is_subsequence(before["pyproject.toml"].splitlines(), after["pyproject.toml"].splitlines())
    section = after["pyproject.toml"].partition("[tool.pytest.ini_options]")[2].partition("# How it")[0]
    assert 'DJANGO_SETTINGS_MODULE = "config.settings.test"' in section
    assert 'backchannel_production_settings = "config.settings.production"' in section
    settings = after["config/settings/test.py"]
    assert "from .base import *" in settings
    assert "CHANNEL_LAYERS" not in settings
    assert "pip install . " in after[".github/workflows/tests.yml"]
    code, text = suite(folder, "-m", "not celery_integration")
    assert code == 0, text
    again = init(folder)
    assert (again.returncode, tree(folder)) == (0, after), again.stdout


def test_channels_alone_with_a_configuration_and_a_conftest(tmp_path):
    folder = project(tmp_path, celery=False, channels=True)
    write(folder, "pytest.ini", "[pytest]\n; as it always was\nasyncio_mode = strict\n\n[other]\nkey = 1\n")
    write(folder, "tests/conftest.py", "# mine\n")
    write(folder, ".github/workflows/ci.yml", "jobs:\n  test:\n    steps:\n      - run: pytest\n")
    before = tree(folder)

    done = init(folder, "--yes")

    assert done.returncode == 0, done.stdout + done.stderr
    after = tree(folder)
    assert sorted(after.keys() - before.keys()) == ["config/settings_test.py", "tests/test_websockets.py"]
    assert [name for name in before if after[name] != before[name]] == ["pytest.ini"]
    assert is_subsequence(before["pytest.ini"].splitlines(), after["pytest.ini"].splitlines())
    assert "asyncio_mode = auto  # it says strict" in done.stdout
    assert "Kept as it is: .github/workflows/ci.yml; it would have been given:\n" in done.stdout
    assert 'python -m pytest -m "not celery_integration"' in done.stdout
    sockets = after["tests/test_websockets.py"]
    assert "@pytest.mark.asyncio\nasync def" in sockets
    assert "def user(db, django_user_model):" in sockets
    assert "CELERY" not in after["config/settings_test.py"]
    code, text = suite(folder)
    assert code == 0, text
    again = init(folder, "--yes")
    assert (again.returncode, tree(folder)) == (0, after), again.stdout
