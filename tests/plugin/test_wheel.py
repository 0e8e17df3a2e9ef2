"""The wheel holds what it should, and works where only it is installed."""

from __future__ import annotations

import os
import subprocess
import sys
import zipfile


def test_the_wheel_holds_the_package_the_example_and_nothing_else(wheel):
    names = zipfile.ZipFile(wheel).namelist()
    assert "pytest_backchannel/py.typed" in names
    page = "pytest_backchannel/questions/report/page"
    assert {f"{page}/{name}" for name in ("page.html.jinja", "parts.html.jinja", "page.css", "page.js")} <= set(names)
    assert "pytest_backchannel/_example/manage.py" in names
    assert "pytest_backchannel/_example/billing/templates/billing/invoice_list.html" in names
    assert {name.split("/")[0].split("-")[0] for name in names} == {"pytest_backchannel"}
    unwanted = [
        name for name in names if "__pycache__" in name or name.endswith((".pyc", ".sqlite3", ".pdf", ".log", ".orig"))
    ]
    assert not unwanted


def test_a_suite_runs_with_the_installed_wheel(wheel, tmp_path):
    installed = tmp_path / "installed"
    subprocess.run(
        [sys.executable, "-m", "pip", "install", "--quiet", "--no-deps", "--no-index", "--target", installed, wheel],
        check=True,
    )
    tmp_path.joinpath("test_it.py").write_text(
        "import pytest_backchannel\n\ndef test_it(pytestconfig):\n"
        f"    assert pytest_backchannel.__file__.startswith({str(installed)!r})\n"
        "    assert pytestconfig.getini('backchannel_timeout') == '2'\n"
    )
    # The installed copy goes before the source tree that this suite runs from.
    env = {**os.environ, "PYTHONPATH": str(installed)}
    done = subprocess.run(
        [
            sys.executable,
            "-m",
            "pytest",
            "-p",
            "no:cacheprovider",
            "-p",
            "no:randomly",
            "-p",
            "no:faker",
            "-p",
            "no:asyncio",
            "test_it.py",
        ],
        cwd=tmp_path,
        env=env,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    version = subprocess.run(
        [sys.executable, "-m", "pytest_backchannel.cli", "--version"],
        env=env,
        capture_output=True,
        text=True,
        check=True,
        cwd=tmp_path,
    )
    assert version.stdout.startswith("backchannel ")
