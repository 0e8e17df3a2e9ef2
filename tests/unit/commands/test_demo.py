"""The copy of the example: complete, clean, brought up to date, and never over what a user has changed."""

from __future__ import annotations

import argparse

import pytest

from pytest_backchannel.cli import main
from pytest_backchannel.commands import demo
from pytest_backchannel.errors import BackchannelError


@pytest.fixture
def source(tmp_path):
    folder = tmp_path / "source"
    write(folder, "manage.py", "one")
    write(folder, "app/models.py", "two")
    return folder


def write(folder, name, text):
    path = folder / name
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text)


def tree(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_text()
        for path in folder.rglob("*")
        if path.is_file() and path.name != demo.MANIFEST
    }


def test_it_copies_what_belongs_and_nothing_that_a_run_left(source, tmp_path):
    for name in ("app/__pycache__/models.pyc", ".site/site.json", "db.sqlite3-wal", "media/a.pdf", "app/.cache"):
        write(source, name, "left behind")
    assert demo.copy_example(source, tmp_path / "new" / "demo") == []
    assert tree(tmp_path / "new" / "demo") == {"manage.py": "one", "app/models.py": "two"}


def test_a_second_copy_updates_and_keeps_what_the_user_changed(source, tmp_path):
    target = tmp_path / "demo"
    write(source, "old.py", "gone later")
    write(source, "old_but_changed.py", "gone later")
    demo.copy_example(source, target)

    write(target, "app/models.py", "mine")
    write(target, "old_but_changed.py", "mine")
    write(target, "notes.txt", "mine")
    (target / "manage.py").unlink()
    write(source, "manage.py", "new")
    write(source, "app/models.py", "new")
    write(source, "app/added.py", "new")
    (source / "old.py").unlink()
    (source / "old_but_changed.py").unlink()

    for _ in range(2):
        assert demo.copy_example(source, target) == ["app/models.py"]
        assert tree(target) == {
            "manage.py": "new",
            "app/models.py": "mine",
            "app/added.py": "new",
            "old_but_changed.py": "mine",
            "notes.txt": "mine",
        }


@pytest.mark.parametrize("kind", ["folder", "file"])
def test_what_is_not_a_copy_is_left_alone(source, tmp_path, kind):
    target = tmp_path / "demo"
    if kind == "folder":
        write(target, "precious.txt", "mine")
    else:
        target.write_text("mine")
    with pytest.raises(BackchannelError, match=r"demo is there already, and is no copy of the example: choose another"):
        demo.copy_example(source, target)


def test_an_empty_folder_is_taken(source, tmp_path):
    (tmp_path / "demo").mkdir()
    assert demo.copy_example(source, tmp_path / "demo") == []


def test_a_broken_manifest_is_a_clear_error(source, tmp_path):
    write(tmp_path / "demo", demo.MANIFEST, "{")
    with pytest.raises(BackchannelError, match=r"can't copy the example to .*demo: "):
        demo.copy_example(source, tmp_path / "demo")


def test_what_is_missing_is_named_with_the_command(monkeypatch):
    monkeypatch.setattr(demo, "NEEDED", {"json": "present", "no_such_module": "absent-package"})
    with pytest.raises(BackchannelError, match=r"-m pip install 'absent-package'$"):
        demo.check_needed()


def test_the_example_of_this_installation_is_found():
    names = {path.name for path in demo.wanted_files(demo.example_folder())}
    assert {"manage.py", "run_site.py", "invoice_list.html", "test_body.py"} <= names


def test_errors_are_told_and_counted(tmp_path, capsys):
    write(tmp_path, "precious.txt", "mine")
    parser = argparse.ArgumentParser()
    demo.add_parser(parser.add_subparsers())
    options = parser.parse_args(["demo", "--folder", str(tmp_path)])
    assert options.run(options) == 2
    assert capsys.readouterr().err.startswith(f"backchannel demo: {tmp_path} is there already")


def test_inside_a_copy_it_is_that_copy_which_is_updated(tmp_path, monkeypatch, capsys):
    (tmp_path / "parent").mkdir()
    monkeypatch.chdir(tmp_path / "parent")
    assert main(["demo", "--no-run"]) == 0
    monkeypatch.chdir("demo")
    (tmp_path / "parent" / "demo" / "manage.py").unlink()
    assert main(["demo", "--no-run"]) == 0
    assert (tmp_path / "parent" / "demo" / "manage.py").exists()
    assert not (tmp_path / "parent" / "demo" / "demo").exists()
    assert "is in .: " in capsys.readouterr().out


def test_arguments_for_pytest_without_the_dashes(capsys):
    with pytest.raises(SystemExit) as ended:
        main(["demo", "-k", "retries"])
    assert ended.value.code == 2
    error = capsys.readouterr().err
    assert "backchannel demo: error: unrecognized arguments: -k" in error
    assert "go to pytest, or to run_site.py: backchannel demo -- -k retries" in error


def test_a_run_ends_with_the_report_in_each_format_that_can_be_had(monkeypatch):
    def load(name):
        if name == "html":
            raise BackchannelError("it needs more than is installed")

    monkeypatch.setattr(demo, "load", load)
    assert demo.report_flags(["-k", "retries"]) == ["--backchannel-report=term", "--backchannel-report=json"]
    assert demo.report_flags(["--backchannel-report=html"]) == []
