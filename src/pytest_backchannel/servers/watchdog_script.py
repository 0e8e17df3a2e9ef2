"""What outlives a killed test run: ends the processes that the run started and removes their folders.

Run as a script, isolated from the project's environment, by ``watchdog.py``. Its standard input is a pipe from the test
run; each line is ``add GROUP``, ``drop GROUP``, ``folder PATH`` or ``forget PATH``. When the pipe closes, or the
parent is another than at the start, the test run is gone: what is still listed is killed and removed.
"""

import contextlib
import os
import select
import shutil
import signal
import sys
import time


def watch() -> None:
    """Follow the pipe until the test run is gone, then clean up after it."""
    parent = os.getppid()
    groups: dict[int, None] = {}
    folders: dict[str, None] = {}
    rest = b""
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    while True:
        # A process that the test run forked may hold the pipe open after the run's death: the parent tells as well.
        ready, _, _ = select.select([0], [], [], 1.0)
        if not ready:
            if os.getppid() != parent:
                break
            continue
        chunk = os.read(0, 65536)
        if not chunk:
            break
        *lines, rest = (rest + chunk).split(b"\n")
        for line in lines:
            word, _, value = line.decode().partition(" ")
            if word == "add":
                groups[int(value)] = None
            elif word == "drop":
                groups.pop(int(value), None)
            elif word == "folder":
                folders[value] = None
            elif word == "forget":
                folders.pop(value, None)
    for group in groups:
        with contextlib.suppress(OSError):
            os.killpg(group, signal.SIGKILL)
    for folder in folders:
        # A process that is dying may write a last file.
        for _ in range(20):
            shutil.rmtree(folder, ignore_errors=True)
            if not os.path.exists(folder):
                break
            time.sleep(0.05)


if __name__ == "__main__":
    # Ctrl-C goes to the whole terminal: the test run decides what it means, and closes the pipe when it ends.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    watch()
