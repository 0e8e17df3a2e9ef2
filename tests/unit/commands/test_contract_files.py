"""``backchannel contract check``: what it prints, its exit codes, and what it says where it can't be done."""

from __future__ import annotations

import json
import subprocess

import pytest

from pytest_backchannel.cli import main
from pytest_backchannel.questions.contract.contents import Accepts, Contract, LayerSend, MessageHandler, TaskSend
from pytest_backchannel.questions.contract.contract_file import as_text, from_text, read

TASKS = """from celery import shared_task


@shared_task
def ship(order_id, express):
    pass
"""


def contract(signature="(order_id)", args=1):
    return Contract(
        accepts=Accepts(
            tasks={"tasks.ship": signature},
            content=("json",),
            queues=("celery",),
            consumers={"live.Room": ("room.{}",)},
            handlers=(MessageHandler(consumer="live.Room", name="chat", needs=("text",), asks=("id",)),),
            routes=("/ws/",),
        ),
        tasks=(TaskSend(task="tasks.ship", args=args, queue="celery", serializer="json", headers=("eta",), run=True),),
        messages=(LayerSend(type="chat", keys=("text",), run=True),),
    )


def git(folder, *arguments):
    names = ("-c", "user.name=t", "-c", "user.email=t@example.org")
    subprocess.run(["git", *names, *arguments], cwd=folder, check=True, capture_output=True)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """This code needs one argument more than the release in old.json."""
    (tmp_path / "tasks.py").write_text(TASKS)
    (tmp_path / "old.json").write_text(as_text(contract()))
    (tmp_path / "backchannel-contract.json").write_text(as_text(contract("(order_id, express)", 2)))
    monkeypatch.chdir(tmp_path)
    return tmp_path


def test_the_file_is_read_as_it_was_written(tmp_path):
    path = tmp_path / "contract.json"
    path.write_text(as_text(contract()))
    assert read(path) == contract()
    assert all(len(line) < 200 for line in path.read_text().splitlines())
    assert as_text(read(path)) == path.read_text()


def test_as_text(folder, capsys):
    assert main(["contract", "check", "--against", "old.json"]) == 1
    out = capsys.readouterr().out.splitlines()
    assert out[0] == "Messages of old.json on this code (they wait in queues, and open pages send them):"
    assert out[1] == (
        "  BREAKS arguments: tasks.ship(…): sent by that release, it does not fit this code: "
        "missing a required argument: 'express'  [tasks.py:5]"
    )
    assert out[2] == "      give the new parameter a default"
    assert any("sent by this code, it does not fit that release: too many positional arguments" in line for line in out)


def test_one_direction_and_json(folder, capsys):
    assert main(["contract", "check", "--against", "old.json", "--only", "rolling", "--format", "json"]) == 1
    data = json.loads(capsys.readouterr().out)
    assert (data["format"], data["directions"]) == ("backchannel-contract-check", ["rolling"])
    [one] = data["breaks"]
    assert (one["kind"], one["direction"], one["file"], one["line"]) == ("arguments", "rolling", "tasks.py", 5)


def test_annotations(folder, capsys):
    main(["contract", "check", "--against", "old.json", "--only", "waiting", "--format", "github"])
    last = capsys.readouterr().out.splitlines()[-1]
    assert last.startswith("::error file=tasks.py,line=5,title=breaks waiting messages::tasks.ship(…): ")
    assert "%0Agive the new parameter a default" in last


def test_nothing_breaks(folder, capsys):
    assert main(["contract", "check", "--against", "backchannel-contract.json"]) == 0
    assert capsys.readouterr().out.count("all of them are understood") == 2


def test_a_revision(folder, capsys):
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "empty")
    assert main(["contract", "check", "--against", "main"]) == 2
    assert "main has no backchannel-contract.json" in capsys.readouterr().err
    assert main(["contract", "check", "--against", "v9"]) == 2
    assert "no revision 'v9'" in capsys.readouterr().err
    now = (folder / "backchannel-contract.json").read_text()
    (folder / "backchannel-contract.json").write_text(as_text(contract()))
    git(folder, "add", "backchannel-contract.json")
    git(folder, "commit", "-q", "-m", "contract")
    (folder / "backchannel-contract.json").write_text(now)
    assert main(["contract", "check", "--against", "main"]) == 1
    assert "BREAKS arguments" in capsys.readouterr().out
    assert main(["contract", "check", "--against=-v9"]) == 2


def test_from_a_sub_folder_and_of_a_sub_folder_of_the_repository(folder, tmp_path, capsys, monkeypatch):
    project = tmp_path / "backend"
    (project / "deep").mkdir(parents=True)
    for name in ("tasks.py", "backchannel-contract.json"):
        (folder / name).rename(project / name)
    now = (project / "backchannel-contract.json").read_text()
    (project / "backchannel-contract.json").write_text(as_text(contract()))
    git(tmp_path, "init", "-q", "-b", "main")
    git(tmp_path, "add", "backend")
    git(tmp_path, "commit", "-q", "-m", "contract")
    # A dirty tree: what is in it is this code, and what is committed is the release.
    (project / "backchannel-contract.json").write_text(now)
    (project / "tasks.py").write_text(TASKS + "\n")
    before = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, check=True).stdout
    monkeypatch.setenv("GITHUB_WORKSPACE", str(tmp_path))
    for here in (project, project / "deep"):
        monkeypatch.chdir(here)
        assert main(["contract", "check", "--against", "main", "--format", "github"]) == 1
        assert "::error file=backend/tasks.py,line=5," in capsys.readouterr().out
    monkeypatch.chdir(tmp_path)
    assert main(["contract", "check", "--against", "HEAD", "--file", "backend/backchannel-contract.json"]) == 1
    after = subprocess.run(["git", "status", "--porcelain"], cwd=tmp_path, capture_output=True, check=True).stdout
    assert after == before


@pytest.mark.parametrize("given", ["none.json", "origin/none", "", "a b", "v1:x", "--upload-pack=x"])
def test_neither_a_file_nor_a_revision(folder, capsys, given):
    git(folder, "init", "-q", "-b", "main")
    git(folder, "commit", "-q", "--allow-empty", "-m", "empty")
    assert main(["contract", "check", f"--against={given}"]) == 2
    error = capsys.readouterr().err
    assert f"there is no file and no revision {given!r} here" in error
    assert "git fetch" in error


def test_a_folder_is_no_contract(folder, capsys):
    assert main(["contract", "check", "--against", "."]) == 2
    assert "backchannel contract: " in capsys.readouterr().err


def test_no_repository(folder, capsys, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(folder.parent))
    assert main(["contract", "check", "--against", "main"]) == 2
    assert "is in no git repository" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("<<<<<<<", "is no JSON"),
        ("[]", "is no contract"),
        ('{"format": "backchannel-contract", "version": 9}', "has version 9 of the format, and this is 1"),
        ('{"format": "backchannel-contract", "version": 1}', "is not complete: KeyError: 'accepts'"),
    ],
)
def test_what_is_no_contract(folder, capsys, text, said):
    (folder / "old.json").write_text(text)
    assert main(["contract", "check", "--against", "old.json"]) == 2
    assert said in capsys.readouterr().err


def test_no_contract_yet(folder, capsys):
    assert main(["contract", "check", "--against", "old.json", "--file", "none.json"]) == 2
    assert "record it with 'pytest --backchannel-contract=none.json'" in capsys.readouterr().err


def test_a_contract_that_is_older_than_the_code(folder, capsys):
    (folder / "tasks.py").write_text(TASKS.replace("express", "fast") + "\n\n@shared_task\ndef more():\n    pass\n")
    main(["contract", "check", "--against", "old.json"])
    error = capsys.readouterr().err
    assert "tasks.py:5: the parameters of tasks.ship are others in the contract of this code" in error
    assert "tasks.more is not in the contract of this code" in error


def test_a_signature_that_is_none_is_refused(folder):
    from pytest_backchannel.errors import UnreadableContract

    text = as_text(contract()).replace("(order_id)", "(order_id")
    with pytest.raises(UnreadableContract, match=r"x.json is not complete: ValueError: .*is no signature"):
        from_text(text, "x.json")
