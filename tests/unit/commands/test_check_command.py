"""backchannel check: what is selected and allowed, the formats, the exit codes, the cache."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

from pytest_backchannel.checks.check_tree import check_tree
from pytest_backchannel.cli import main

EXAMPLE = Path(__file__).parents[3] / "example"
BAD = """\
import requests
from celery import shared_task

@shared_task(autoretry_for=(Exception,))
def push(url):
    requests.post(url)
"""


NOT_NAMED = (
    "not run: rules that need production's settings (production's settings are not named: "
    "backchannel_production_settings = config.settings.production)\n"
)


@pytest.fixture
def project(tmp_path, monkeypatch):
    """A project with two things to say of, as the current folder."""
    (tmp_path / "shop").mkdir()
    (tmp_path / "shop" / "__init__.py").touch()
    (tmp_path / "shop" / "tasks.py").write_text(BAD)
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    monkeypatch.chdir(tmp_path)
    return tmp_path


@pytest.fixture
def check(capsys):
    """Run the command; gives its exit code, and what it printed to both streams."""

    def check(*arguments):
        code = main(["check", *arguments])
        printed = capsys.readouterr()
        return code, printed.out, printed.err

    return check


def test_the_example_is_silent(check, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    assert check(str(EXAMPLE)) == (0, "Nothing found in 49 files.\n", "")


def test_what_is_found_is_a_line_with_its_fix(check, project):
    code, out, err = check()
    assert (code, err) == (1, NOT_NAMED)
    assert out.splitlines()[:2] == [
        "shop/tasks.py:5:1: BC308 shop.tasks.push is retried for Exception: for its own bugs, too",
        "    Name what passes by itself: `autoretry_for=(ConnectionError, TimeoutError)`.",
    ]
    assert out.splitlines()[-1] == "Found 2 in 2 files. `backchannel check --explain BC308` says more."


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        (("--select", "BC309"), ["BC309"]),
        (("--select", "BC3"), ["BC308", "BC309"]),
        (("--select", "BC2,BC308"), ["BC308"]),
        (("--ignore", "bc308"), ["BC309"]),
        (("--select", "BC3", "--ignore", "BC308,BC309"), []),
        (("shop/tasks.py", "--select", "BC309"), ["BC309"]),
        (("shop", "."), ["BC308", "BC309"]),
    ],
)
def test_rules_are_chosen(check, project, arguments, expected):
    code, out, _ = check(*arguments, "--format", "json")
    assert [one["code"] for one in json.loads(out)["diagnostics"]] == expected
    assert code == (1 if expected else 0)


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("pytest.ini", "[pytest]\nbackchannel_check_ignore = BC308\n"),
        ("pytest.ini", "[pytest]\nbackchannel_check_select = BC309, BC2\n"),
        ("pyproject.toml", '[tool.pytest.ini_options]\nbackchannel_check_ignore = ["BC308"]\n'),
        ("tox.ini", "[pytest]\nbackchannel_check_ignore =\n    BC1\n    BC308\n"),
        ("setup.cfg", "[tool:pytest]\nbackchannel_check_select = BC309\n"),
    ],
)
def test_the_ini_options_choose_too(check, project, name, text):
    (project / "pytest.ini").unlink()
    (project / name).write_text(text)
    found = [line.split()[1] for line in check("shop")[1].splitlines() if line.startswith("shop")]
    assert found == ["BC309"]


@pytest.mark.parametrize(
    ("comment", "expected"),
    [
        ("# noqa", []),
        ("# noqa: BC309", []),
        ("# noqa: E501, BC309", []),
        ("# noqa: BC3 they answer", []),
        ("# noqa: E501", ["BC309"]),
        ("# noqa: BC308", ["BC309"]),
        ("# noqa: because", ["BC309"]),
    ],
)
def test_a_comment_allows(check, project, comment, expected):
    (project / "shop" / "tasks.py").write_text(BAD.replace("post(url)", f"post(url)  {comment}"))
    out = json.loads(check("--ignore", "BC308", "--format", "json")[1])
    assert [one["code"] for one in out["diagnostics"]] == expected


def test_json_is_one_document_with_a_version(check, project):
    known = json.loads(check("--select", "BC309", "--format", "json")[1])
    assert (known["version"], known["files"]) == (1, 2)
    assert known["diagnostics"][0] | {"message": "", "fix": ""} == {
        "path": "shop/tasks.py",
        "line": 6,
        "column": 5,
        "end_line": 6,
        "code": "BC309",
        "name": "client-without-timeout",
        "severity": "warning",
        "message": "",
        "fix": "",
    }


def test_github_annotates_the_line(check, project):
    assert check("--select", "BC309", "--format", "github")[1].startswith(
        "::warning file=shop/tasks.py,line=6,endLine=6,col=5,title=BC309 client-without-timeout::requests.post() "
    )


def test_statistics_count(check, project):
    assert check("--statistics")[1].splitlines() == [
        "    1 BC308 autoretry-for-everything",
        "    1 BC309 client-without-timeout",
    ]


def test_a_rule_explains_itself(check, project):
    code, out, _ = check("--explain", "bc201")
    assert code == 0
    assert out.startswith("BC201 enqueue-in-atomic (error)\n")
    assert "with transaction.atomic():" in out


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nowhere",), "there is no file or folder 'nowhere' to check"),
        (("--select", "E501"), "there is no rule 'E501': choose of BC001, "),
        (("--explain", "BC999"), "there is no rule 'BC999': choose of BC001, "),
        (("--explain", "BC2"), "--explain takes the code of one rule, not 'BC2'"),
        (("--jobs", "0"), "--jobs 0: give a number of processes, from 1"),
    ],
)
def test_what_can_t_run_is_2(check, project, arguments, message):
    code, out, err = check(*arguments)
    assert (code, out) == (2, "")
    assert err.startswith(f"backchannel check: {message}")


def test_a_broken_configuration_is_2(check, project):
    (project / "pytest.ini").write_text("pytest\n")
    code, _, err = check()
    assert code == 2
    assert "pytest.ini can't be read" in err


@pytest.mark.parametrize(
    "text", [b"import celery\ndef f(:\n", b"import celery\n\0", b"# celery \xff\xfe\nx = '\xff'\n"]
)
def test_a_broken_file_is_told_and_the_others_are_checked(check, project, text):
    (project / "shop" / "broken.py").write_bytes(text)
    found = json.loads(check("--format", "json")[1])["diagnostics"]
    assert [(one["path"], one["code"]) for one in found] == [
        ("shop/broken.py", "BC001"),
        ("shop/tasks.py", "BC308"),
        ("shop/tasks.py", "BC309"),
    ]


def test_the_second_run_remembers_and_sees_each_change(check, project, monkeypatch):
    first = check()
    with monkeypatch.context() as patch:
        patch.setattr("pytest_backchannel.checks.check_tree.look_at", None)
        patch.setattr("pytest_backchannel.checks.check_tree.link", None)
        assert check() == first
    (project / "shop" / "tasks.py").write_text(BAD.replace("(url)\n", "(url, timeout=3)\n"))
    assert check("--statistics")[1].split()[1] == "BC308"
    assert (project / ".backchannel_cache" / ".gitignore").read_text().endswith("*\n")


@pytest.mark.parametrize("text", ["", "[]", '{"/": 3, "shop/tasks.py": ["x", [1]]}', "{"])
def test_a_broken_cache_is_no_trouble(check, project, text):
    first = check()
    for file in (project / ".backchannel_cache").glob("*.json"):
        file.write_text(text)
    assert check() == first


def test_no_cache_leaves_nothing(check, project):
    check("--no-cache")
    assert not (project / ".backchannel_cache").exists()


def test_runs_at_once_do_not_disturb_each_other(project):
    command = [sys.executable, "-m", "pytest_backchannel.cli", "check", "--statistics"]
    running = [subprocess.Popen(command, stdout=subprocess.PIPE, text=True) for _ in range(4)]
    assert len({one.communicate()[0] for one in running}) == 1
    assert len(list((project / ".backchannel_cache").glob("*.json"))) == 1
    assert not list((project / ".backchannel_cache").glob("*.tmp"))


def test_processes_find_the_same_as_one(project):
    for number in range(410):
        (project / "shop" / f"tasks_{number}.py").write_text(BAD)
    one, two = check_tree(project), check_tree(project, processes=2)
    assert len(one.diagnostics) == 411 * 2
    assert one == two


def test_progress_is_told(project):
    told = []
    check_tree(project, progress=lambda done, of: told.append((done, of)))
    assert told == [(1, 2), (2, 2)]
