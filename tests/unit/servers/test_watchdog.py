"""Folders of servers go with the test run, at whichever line it is killed."""

from __future__ import annotations

import signal
import stat
import subprocess
import sys
from pathlib import Path

import pytest
from support.until import until

from pytest_backchannel.servers import watchdog
from pytest_backchannel.servers.process import Process
from pytest_backchannel.servers.watchdog import make_folder, remove_folder


@pytest.fixture
def told(monkeypatch):
    """What the watchdog hears, and whether the folder was there when it did."""
    heard = []
    running = watchdog.current_watchdog()
    for name in ("add_folder", "forget_folder"):
        real = getattr(running, name)

        def hears(path, name=name, real=real):
            heard.append((name, path, path.exists()))
            real(path)

        monkeypatch.setattr(running, name, hears)
    return heard


def test_the_watchdog_knows_of_a_folder_before_it_exists_and_after_it_is_gone(told):
    folder = make_folder("redis")
    assert folder.is_dir()
    assert stat.S_IMODE(folder.stat().st_mode) == 0o700
    assert folder.name.startswith("backchannel-redis-")
    (folder / "data").write_text("x")
    remove_folder(folder)
    assert told == [("add_folder", folder, False), ("forget_folder", folder, False)]
    assert not folder.exists()


def test_a_folder_that_was_given_is_not_the_watchdogs(told, tmp_path):
    process = Process("redis", tmp_path / "mine")
    process.close()
    assert (tmp_path / "mine").is_dir()
    assert told == []


KILLED = """
import os, signal
from pathlib import Path
from pytest_backchannel.servers.watchdog import make_folder

mkdir = Path.mkdir
def killed(path, *args, **kwargs):
    mkdir(path, *args, **kwargs)
    print(path, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
Path.mkdir = killed
make_folder("redis")
"""


def test_a_run_that_is_killed_as_it_makes_a_folder_leaves_none():
    killed = subprocess.run([sys.executable, "-c", KILLED], stdout=subprocess.PIPE, text=True, timeout=60, check=False)
    assert killed.returncode == -signal.SIGKILL
    folder = Path(killed.stdout.strip())
    assert folder.name.startswith("backchannel-redis-")
    until(lambda: not folder.exists(), 20, f"the watchdog removes {folder}, which the killed run has left")
