"""Which files are read, by which names their modules go, and what can't be read."""

from __future__ import annotations

import pickle
import sys

import pytest

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.source import read_tree
from pytest_backchannel.source.files import python_files

TASK = "from celery import shared_task\n@shared_task\ndef send(): ...\n"


@pytest.fixture
def write(tmp_path):
    def write(*paths, text=TASK):
        for path in paths:
            target = tmp_path / path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text)

    return write


def modules(folder, **options):
    return [file.module for file in python_files(folder, **options)]


def test_what_is_not_the_projects_own_code_is_left_out(tmp_path, write):
    write(
        "shop/tasks.py",
        "shop/migrations/__init__.py",
        "shop/migrations/0001_initial.py",
        "shop/migrations/tasks/moving.py",
        ".venv/lib/x.py",
        "env2/pyvenv.cfg",
        "env2/lib/x.py",
        "lib/site-packages/x.py",
        "node_modules/x/y.py",
        "build/x.py",
        "shop/__pycache__/x.py",
        "shop/notes.txt",
    )
    assert [file.relative for file in python_files(tmp_path)] == ["shop/migrations/tasks/moving.py", "shop/tasks.py"]


def test_tests_are_read_where_they_are_asked_for(tmp_path, write):
    write(
        "a.py",
        "conftest.py",
        "test_a.py",
        "a_test.py",
        "tests.py",
        "tests/x.py",
        "test/y.py",
        "config/settings/test.py",
    )
    assert modules(tmp_path) == ["a", "config.settings.test"]
    assert len(modules(tmp_path, tests=True)) == 8


def test_a_module_is_named_from_above_its_topmost_package(tmp_path, write):
    write("backend/shop/__init__.py", "backend/shop/orders/__init__.py", "backend/shop/orders/tasks.py", "loose.py")
    write("src/lib/__init__.py", "src/lib/tasks.py")
    assert modules(tmp_path) == ["shop", "shop.orders", "shop.orders.tasks", "loose", "lib", "lib.tasks"]


def test_a_folder_without_an_init_is_named_from_where_manage_py_is(tmp_path, write):
    write("site/manage.py", "site/apps/shop/__init__.py", "site/apps/shop/tasks.py", "site/config/settings.py")
    write("site/shop/__init__.py", "site/shop/inner/tasks.py")
    assert modules(tmp_path) == [
        "apps.shop",
        "apps.shop.tasks",
        "config.settings",
        "manage",
        "shop",
        "shop.inner.tasks",
    ]


def test_two_projects_in_one_tree_are_told_apart(tmp_path, write):
    write("one/shop/__init__.py", "two/shop/__init__.py", text="")
    write("one/shop/tasks.py")
    write("two/shop/tasks.py", text=TASK + "def view(): send.delay()")
    write("two/shop/views.py", text="from .tasks import send\ndef view(): send.delay()")
    index = read_tree(tmp_path)
    assert list(index.tasks) == ["shop.tasks.send", "two.shop.tasks.send"]
    assert [site.task for site in index.enqueues] == ["two.shop.tasks.send", "shop.tasks.send"]


def test_an_import_may_name_a_module_by_the_end_of_its_name(tmp_path, write):
    write("site/manage.py", text="")
    write("site/apps/shop/__init__.py", text="")
    write("site/apps/shop/tasks.py")
    write("site/views.py", text="from shop.tasks import send\ndef view(): send.delay()")
    (site,) = read_tree(tmp_path).enqueues
    assert site.task == "apps.shop.tasks.send"


@pytest.mark.parametrize(
    ("text", "line"),
    [
        (b"from celery import shared_task\ndef f(:\n", 2),
        (b"# -*- coding: none-such -*-\nimport celery\n", 0),
        (b"import celery\nname = '\xff'\n", None),
        (b"import celery\x00\n", None),
        (b"import celery\n" + b"x = " + b"(" * 300 + b"1" + b")" * 300 + b"\n", None),
        (b"import celery\nprint 'two'\n", 2),
    ],
)
def test_what_cannot_be_parsed_is_a_note(tmp_path, text, line):
    (tmp_path / "odd.py").write_bytes(text)
    (tmp_path / "tasks.py").write_text(TASK)
    index = read_tree(tmp_path)
    assert list(index.tasks) == ["tasks.send"]
    (note,) = index.unread
    assert note.path == "odd.py"
    assert note.reason
    assert str(note).startswith("odd.py:")
    if line is not None:
        assert note.line == line


def test_odd_but_valid_python_is_read(tmp_path):
    (tmp_path / "latin.py").write_bytes("# coding: latin-1\nimport celery\nname = 'é'\n".encode("latin-1"))
    (tmp_path / "bom.py").write_bytes(b"\xef\xbb\xbf" + TASK.encode())
    (tmp_path / "escape.py").write_text("import celery\nname = '\\d'\n")
    (tmp_path / "empty.py").write_text("")
    (tmp_path / "stubs.py").write_text("import celery\nclass A[T]: ...\n" if sys.version_info >= (3, 12) else "")
    index = read_tree(tmp_path)
    assert (list(index.tasks), index.unread, index.files) == (["bom.send"], (), 5)


def test_a_file_is_parsed_only_where_its_text_or_a_name_leads_there(tmp_path, write):
    write("plain.py", text="def f(): ...")
    write("names.py", text='def group(pk): return f"room_{pk}"')
    write("live.py", text="from names import group\ndef f(layer): layer.group_send(group(7), {})")
    index = read_tree(tmp_path)
    assert (index.files, index.parsed) == (3, 1)
    assert index.group_uses[0].group == "room_{}"


def test_circles_of_imports_and_of_classes_end(tmp_path, write):
    write("a.py", text="from b import x\nfrom b import *\nA = B = A\nclass C(C): ...\nclass D(E): ...\nclass E(D): ...")
    write(
        "b.py",
        text="from a import x\nfrom a import *\nimport celery\ndef f(): x.delay(); A.delay(); C.delay(); D.delay()",
    )
    write("c.py", text="import celery\nname = name\ndef g(): return g()\ndef f(layer): layer.group_send(g(), name)")
    index = read_tree(tmp_path)
    assert [(site.target, site.resolved) for site in index.enqueues] == [("x", False), ("A", False)]


def test_a_name_that_is_put_together_of_itself_ends(tmp_path, write):
    write("names.py", text='NAME = f"{NAME}{NAME}{NAME}"')
    write("live.py", text="from names import NAME\ndef f(layer): layer.group_send(NAME, {})")
    assert read_tree(tmp_path).group_uses[0].group == "{}"


def test_several_processes_find_the_same(tmp_path, write, monkeypatch):
    monkeypatch.setattr("pytest_backchannel.source.whole_tree.WORTH_PROCESSES", 1)
    write(*(f"shop{n}/tasks.py" for n in range(5)))
    assert read_tree(tmp_path, processes=2) == read_tree(tmp_path)


def test_an_index_can_be_kept(tmp_path, write):
    write("shop/tasks.py")
    index = read_tree(tmp_path)
    assert pickle.loads(pickle.dumps(index)) == index


def test_one_file_can_be_read(tmp_path, write):
    write("tasks.py")
    assert list(read_tree(tmp_path / "tasks.py").tasks) == ["tasks.send"]


def test_a_folder_that_is_not_there_is_an_error(tmp_path):
    with pytest.raises(BackchannelError, match="there is no folder .*gone.* give the project's folder"):
        read_tree(tmp_path / "gone")
