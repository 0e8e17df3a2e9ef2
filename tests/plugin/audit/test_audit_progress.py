"""On a terminal, an audit that takes long says of which task it is."""

from __future__ import annotations

import os
import pty
import subprocess
import sys

import pytest

TESTS = """
    import time
    from celery import shared_task
    from parcels.models import Parcel

    @shared_task
    def slow(pk):
        time.sleep(0.6)
        Parcel.objects.filter(pk=pk).update(state="slow")

    def test_slow(db):
        slow.delay(Parcel.objects.create().pk)
"""


def on_terminal(folder, *arguments):
    """What a run shows on a terminal."""
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *arguments]
    with subprocess.Popen(command, cwd=folder, stdout=theirs, stderr=subprocess.STDOUT) as process:
        os.close(theirs)
        shown = b""
        while True:
            try:
                part = os.read(ours, 65536)
            except OSError:  # Linux says so when the other side has closed
                break
            if not part:
                break
            shown += part
        assert process.wait(60) == 0, shown.decode()
    os.close(ours)
    return shown.decode()


@pytest.mark.parametrize(("quiet", "times"), [((), 1), (("-q",), 0)])
def test_a_slow_audit_is_told_on_a_terminal(parcels, quiet, times):
    parcels.project.write("test_it.py", TESTS)
    shown = on_terminal(parcels.project.path, "test_it.py", "--backchannel-audit=twice,crash", *quiet)
    assert shown.count("backchannel: still audits test_it.slow …") == times


def test_a_log_has_no_progress(parcels):
    result, found = parcels.test(TESTS)
    assert found["slow"]["ran"] == 1
    result.stdout.no_fnmatch_line("*still audits*")
