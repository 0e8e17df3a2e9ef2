"""``backchannel init``: it asks, it can be refused and interrupted, and it says what stops it."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import sys
import time

import pytest
from support.bare_projects import init, project, tree, write

from pytest_backchannel.cli import main


@pytest.fixture
def site(tmp_path):
    """A project that has a Celery app and no task: there is nothing to try, and it is quick."""
    return project(tmp_path / "site", celery=True, channels=False, tasks="")


def test_help_shows_an_example(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["init", "--help"])
    assert ended.value.code == 0
    text = capsys.readouterr().out
    assert "backchannel init --yes" in text
    assert "exit codes: 0 nothing to do" in text
    for option in ("--settings MODULE", "--yes", "--dry-run", "--no-run"):
        assert option in text


def test_yes_and_dry_run_are_no_pair(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["init", "--yes", "--dry-run"])
    assert ended.value.code == 2
    assert "not allowed with" in capsys.readouterr().err


def test_without_a_terminal_it_shows_and_writes_nothing(site):
    before = tree(site)
    done = init(site)
    assert (done.returncode, tree(site)) == (1, before), done.stderr
    assert "--- /dev/null\n+++ b/config/settings_test.py\n" in done.stdout
    assert (
        "Nothing was written, since there is no terminal to ask at. To write the 4 files: backchannel init --yes"
        in (done.stdout)
    )
    dry = init(site, "--dry-run")
    assert (dry.returncode, tree(site)) == (1, before)
    assert "Nothing was written: 4 files to write, by backchannel init --yes." in dry.stdout


# A shell starts what runs in the background with SIGINT ignored, and Python leaves it so: the tests may run there.
AS_AT_A_TERMINAL = """
import signal, sys
signal.signal(signal.SIGINT, signal.default_int_handler)
from pytest_backchannel.cli import main
sys.exit(main(["init", "--no-run"]))
"""


def at_a_terminal(site, answer):
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-c", AS_AT_A_TERMINAL],
        cwd=site, stdin=theirs, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, start_new_session=True,
    )  # fmt: skip
    try:
        if callable(answer):
            answer(process)
        else:
            os.write(ours, answer)
        out, error = process.communicate(timeout=300)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
        os.close(theirs)
    return process.returncode, out, error


@pytest.mark.parametrize("answer", [b"n\n", b"\n", b"\x04"])
def test_a_refusal_writes_nothing(site, answer):
    before = tree(site)
    code, out, _ = at_a_terminal(site, answer)
    assert (code, tree(site)) == (1, before)
    assert out.rstrip().endswith("Write 4 files? [y/N] Nothing was written.")


def test_an_agreement_writes_it(site):
    code, out, error = at_a_terminal(site, b"yes\n")
    assert code == 0, error
    assert "Written: config/settings_test.py, pytest.ini, conftest.py, .github/workflows/tests.yml" in out
    assert "DJANGO_SETTINGS_MODULE = config.settings_test" in (site / "pytest.ini").read_text()


def test_the_workflow_has_two_jobs_and_passes_before_the_first_test(site):
    yaml = pytest.importorskip("yaml")
    assert init(site, "--yes", "--no-run").returncode == 0
    workflow = yaml.safe_load((site / ".github/workflows/tests.yml").read_text())
    commands = {name: job["steps"][-1]["run"] for name, job in workflow["jobs"].items()}
    assert commands == {
        "fast": 'python -m pytest -m "not celery_integration" || [ $? -eq 5 ]',
        "integration": "python -m pytest -m celery_integration --backchannel-redis-url=redis://127.0.0.1:6379/0 "
        "|| [ $? -eq 5 ]",
    }
    assert list(workflow["jobs"]["integration"]["services"]) == ["redis"]


def test_an_interruption_writes_nothing(site):
    before = tree(site)

    def interrupt(process):
        process.stdout.read(1)  # it shows the changes, and asks next
        time.sleep(0.5)
        process.send_signal(signal.SIGINT)

    code, _, error = at_a_terminal(site, interrupt)
    assert (code, tree(site)) == (130, before)
    assert "interrupted; nothing was written" in error


def test_no_manage_py(tmp_path):
    (tmp_path / "backend").mkdir()
    (tmp_path / "backend" / "manage.py").touch()
    done = init(tmp_path)
    assert done.returncode == 2
    assert done.stderr.startswith(f"backchannel init: there is no manage.py in {tmp_path}: there is one in backend: cd")


def test_settings_that_can_not_be_imported(site):
    write(site, "config/settings.py", 'import os\nSECRET_KEY = os.environ["SHOP_SECRET"]\n')
    done = init(site, "--yes")
    assert done.returncode == 2
    assert (
        "Django can't be set up: config.settings: KeyError: 'SHOP_SECRET' [config/settings.py:2]. Give the variables"
        in done.stderr
    )
    assert not (site / "pytest.ini").exists()


def test_an_app_that_can_not_be_imported(site):
    write(site, "shop/apps.py", "import nothing_such\n")
    write(site, "config/settings.py", (site / "config/settings.py").read_text().replace('"shop"', '"shop.apps.Shop"'))
    done = init(site, "--yes")
    assert done.returncode == 2
    assert "Django can't be set up under config.settings" in done.stderr
    assert "No module named 'nothing_such'" in done.stderr


def test_neither_celery_nor_channels(tmp_path):
    done = init(project(tmp_path, celery=False, channels=False), "--yes")
    assert done.returncode == 2
    assert "found nothing to test: under config.settings there is neither a Celery app" in done.stderr


def test_settings_of_production_that_fail_alone_are_not_named(tmp_path):
    site = project(tmp_path, celery=True, channels=False, package=True, tasks="")
    write(site, "config/settings/production.py", "from .base import *\nimport os\nKEY = os.environ['SHOP_KEY']\n")
    done = init(site, "--yes", "--no-run")
    assert done.returncode == 0, done.stderr
    assert "Note: config.settings.production can't be imported here: KeyError: 'SHOP_KEY'" in done.stdout
    assert "backchannel_production_settings" not in (site / "pytest.ini").read_text()


def test_settings_that_pytest_uses_already_are_kept(site):
    write(site, "pytest.ini", "[pytest]\nDJANGO_SETTINGS_MODULE = config.settings\n")
    done = init(site, "--yes", "--no-run")
    assert done.returncode == 0
    assert not (site / "config/settings_test.py").exists()
    assert (
        "# pytest runs with config.settings; with DJANGO_SETTINGS_MODULE = config.settings_test it would" in done.stdout
    )
    assert "    CELERY_TASK_ALWAYS_EAGER = True\n" in done.stdout


def test_a_file_that_can_not_be_written_leaves_none(site):
    if os.geteuid() == 0:
        # Root may write anywhere: a file stands where a folder has to be.
        (site / ".github").write_text("")
    else:
        (site / ".github").mkdir(mode=0o500)
    before = tree(site)
    done = init(site, "--yes")
    assert (done.returncode, tree(site)) == (2, before), done.stdout + done.stderr
    assert "nothing was written" in done.stderr
