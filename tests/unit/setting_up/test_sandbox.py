"""What runs with made up values reaches nothing real, and what it tried is known."""

from __future__ import annotations

import subprocess
import sys
from textwrap import dedent

import pytest

BEFORE = """
    import sys
    from pytest_backchannel.setting_up.trying.sandbox import SANDBOX, RefusedInTrial
    SANDBOX.install(sys.argv[1])
"""


def run(tmp_path, code):
    text = dedent(BEFORE) + dedent(code)
    command = [sys.executable, "-B", "-c", text, str(tmp_path / "inside")]
    (tmp_path / "inside").mkdir(exist_ok=True)
    return subprocess.run(command, capture_output=True, text=True, cwd=tmp_path, check=False)


@pytest.mark.parametrize(
    "attempt",
    [
        "import socket; socket.create_connection(('127.0.0.1', 9))",
        "import socket; socket.getaddrinfo('shop.example', 80)",
        "import subprocess; subprocess.run(['true'])",
        "import os; os.system('true')",
        "open('outside.txt', 'w')",
        "import os; os.remove('precious.txt')",
        "import os; os.rename('precious.txt', 'other.txt')",
        "import shutil; shutil.rmtree('folder')",
        "import sqlite3; sqlite3.connect('precious.sqlite3')",
    ],
)
def test_it_refuses(tmp_path, attempt):
    (tmp_path / "precious.txt").write_text("mine")
    (tmp_path / "folder").mkdir()
    done = run(
        tmp_path,
        f"""
        refused = []
        with SANDBOX.arm(refused):
            try:
                {attempt}
            except RefusedInTrial:
                pass
        print(len(refused))
        """,
    )
    assert done.stdout == "1\n", done.stderr
    assert (tmp_path / "precious.txt").exists()
    assert (tmp_path / "folder").exists()
    assert not (tmp_path / "precious.sqlite3").exists()


def test_it_lets_through_what_is_inside_and_what_reads(tmp_path):
    done = run(
        tmp_path,
        """
        import os, sqlite3
        refused = []
        with SANDBOX.arm(refused):
            sqlite3.connect(":memory:").close()
            path = os.path.join(sys.argv[1], "a.txt")
            open(path, "w").close()
            os.remove(path)
            open(os.devnull, "w").close()
            open(os.__file__).close()
        print(refused)
        """,
    )
    assert done.stdout == "[]\n", done.stderr


def test_files_and_processes_are_free_while_it_is_not_armed(tmp_path):
    done = run(tmp_path, "open('log.txt', 'w').close(); import subprocess; subprocess.run(['true'])")
    assert done.returncode == 0, done.stderr
