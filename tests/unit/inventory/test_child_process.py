"""One child process a run: started once, under a lock, and gone with the run however that ends."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from pytest_backchannel.errors import InventoryFailed


def count(site):
    """Have the project write a line each time that it is loaded."""
    site.append(
        "site_config/production.py",
        f"import os\nopen({str(site.path / 'loads')!r}, 'a').write(f'{{os.getpid()}}\\n')\n",
    )


def loads(site):
    file = site.path / "loads"
    return file.read_text().splitlines() if file.exists() else []


ASK = """
import sys, pathlib
from pytest_backchannel.inventory.child_process import celery_inventory_of
found = celery_inventory_of("site_config.production", app="site_config.celery:app", folder=pathlib.Path(sys.argv[1]))
print(len(found.tasks))
"""


def ask(site, folder):
    env = {**os.environ, "PYTHONPATH": os.pathsep.join([str(site.path), *sys.path])}
    return subprocess.Popen([sys.executable, "-c", ASK, str(folder)], env=env, stdout=subprocess.PIPE, text=True)


def test_processes_of_one_run_share_one_child(site, tmp_path):
    count(site)
    first, second = (ask(site, tmp_path) for _ in range(2))
    told = [process.communicate(timeout=60)[0] for process in (first, second)]
    assert told[0] == told[1] != ""
    assert len(loads(site)) == 1
    assert len(site.inventory(folder=tmp_path).tasks) == int(told[0])
    assert len(loads(site)) == 1


def test_a_failure_is_shared_too(site, tmp_path):
    count(site)
    site.append("orders/tasks.py", "raise ValueError('broken')")
    for _ in range(2):
        with pytest.raises(InventoryFailed, match="ValueError: broken"):
            site.inventory(folder=tmp_path)
    assert len(loads(site)) == 1


def test_without_a_folder_each_call_asks_anew_and_leaves_nothing(site, tmp_path, monkeypatch):
    temporary = tmp_path / "temporary"
    temporary.mkdir()
    monkeypatch.setattr("tempfile.tempdir", str(temporary))
    count(site)
    site.inventory()
    site.inventory()
    assert len(loads(site)) == 2
    assert list(temporary.iterdir()) == []


def test_the_child_is_gone_with_a_run_that_is_killed(site, tmp_path):
    count(site)
    site.append("orders/tasks.py", "import time; time.sleep(60)")
    process = ask(site, tmp_path)
    wait_until(lambda: loads(site))
    (child,) = map(int, loads(site))
    assert Path(f"/proc/{child}").exists()
    process.send_signal(signal.SIGKILL)
    process.communicate()
    wait_until(lambda: not is_running(child))


def test_a_virtual_clock_does_not_matter(site):
    from pytest_backchannel import VirtualClock

    with VirtualClock() as clock:
        began = clock.time()
        site.inventory()
        assert clock.time() == began


def is_running(pid):
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except (FileNotFoundError, ProcessLookupError):
        return False


def wait_until(condition):
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
