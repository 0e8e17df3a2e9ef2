"""The code of a project is read in a process of its own, and the index is the same."""

from __future__ import annotations

import os
import signal
import sys

import pytest

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.source import read_tree
from pytest_backchannel.source.tree_beside import TreeBeside

CODE = "from celery import shared_task\n\n@shared_task\ndef ship(order): ...\n\ndef buy():\n    ship.delay(1)\n"


@pytest.fixture
def project(tmp_path):
    (tmp_path / "shop.py").write_text(CODE)
    # Beside what the process itself imports: a project may have modules of the same names.
    (tmp_path / "pickle.py").write_text("raise AssertionError('it is the code that is read, and not run')\n")
    return tmp_path


def test_it_is_the_index_that_is_read_here(project, monkeypatch):
    monkeypatch.chdir(project)
    beside = TreeBeside(project)
    found = beside.index()
    beside.end()
    assert found == read_tree(project)
    assert list(found.tasks) == ["shop.ship"]


def test_what_prints_as_python_starts_does_not_spoil_it(project, tmp_path_factory, monkeypatch):
    folder = tmp_path_factory.mktemp("startup")
    (folder / "sitecustomize.py").write_text("print('ready')\n")
    monkeypatch.setattr(sys, "path", [str(folder), *sys.path])
    beside = TreeBeside(project)
    assert list(beside.index().tasks) == ["shop.ship"]
    beside.end()


def test_what_another_process_could_not_read_is_read_here(project):
    beside = TreeBeside(project)
    os.kill(beside._process.pid, signal.SIGKILL)
    assert list(beside.index().tasks) == ["shop.ship"]
    beside.end()


def test_it_leaves_no_process(project):
    beside = TreeBeside(project)
    beside.end()
    assert beside._process.returncode == -signal.SIGKILL
    with pytest.raises(ProcessLookupError):
        os.kill(beside._process.pid, 0)


def test_a_folder_that_is_missing_is_told_as_ever(tmp_path):
    beside = TreeBeside(tmp_path / "gone")
    with pytest.raises(BackchannelError, match="there is no folder"):
        beside.index()
    beside.end()
