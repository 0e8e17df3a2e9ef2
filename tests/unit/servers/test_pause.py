"""A paused server stands still when pause() returns, and not some time later."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time

import pytest
from support.until import until

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.servers import process
from pytest_backchannel.servers.process import ProcessGroup

killpg = os.killpg  # also while a test has replaced it

COUNTS = """
import sys, threading, time
def count():
    while True:
        print(end=".", flush=True)
        time.sleep(0.001)
for _ in range(3):
    threading.Thread(target=count).start()
"""


@pytest.fixture
def counting(tmp_path):
    """A group whose threads write all the time; one of its processes is a child of another."""
    group = ProcessGroup("counting", tmp_path / "log")
    with open(group.log_file, "ab") as log:
        child = f"import subprocess, sys; subprocess.run([sys.executable, '-c', {COUNTS!r}])"
        parent = subprocess.Popen([sys.executable, "-c", child], stdout=log, start_new_session=True)
    group._began(parent.pid)
    try:
        until(lambda: group.log, 20, "the group writes")
        yield group
    finally:
        killpg(parent.pid, signal.SIGKILL)
        parent.wait()
        group._ended()
        group._closed()


def test_pause_returns_when_every_thread_stands_still(counting, monkeypatch):
    def takes_its_time(group, sent):  # as where the process is not given a core to take the signal
        threading.Timer(0.3, killpg, (group, sent)).start()

    monkeypatch.setattr(process.os, "killpg", takes_its_time)
    counting.pause()
    monkeypatch.undo()
    written = counting.log
    time.sleep(0.1)
    assert counting.log == written, "it went on writing when pause() had returned"
    counting.resume()
    until(lambda: counting.log != written, 20, "it writes again after resume()")


def test_what_does_not_stand_still_is_told(counting, monkeypatch):
    monkeypatch.setattr(process.os, "killpg", lambda group, sent: None)
    monkeypatch.setattr(process, "PAUSE_TIMEOUT", 0.05)
    with pytest.raises(BackchannelError, match=r"counting was sent SIGSTOP .* after 0\.05 s: \d+ is \w+"):
        counting.pause()
    monkeypatch.undo()


def test_only_what_runs_can_be_paused(tmp_path):
    stopped = ProcessGroup("redis", tmp_path / "log")
    with pytest.raises(BackchannelError, match="redis is stopped: only what runs can be paused"):
        stopped.pause()
    stopped._closed()
