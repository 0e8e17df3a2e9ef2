"""A project that exists for one test: its files as text."""

from __future__ import annotations

from textwrap import dedent

import pytest

from pytest_backchannel.source import read_tree


def path_of(name):
    package, is_init, _ = name.partition("____init__")
    return package.replace("__", "/") + ("/__init__" if is_init else "")


@pytest.fixture
def read(tmp_path):
    """Write files, each given by its path with ``__`` for ``/`` and without ``.py``, and read them.

    ``read(shop__tasks="…")`` is the file ``shop/tasks.py``, ``shop____init__`` its package's. All folders are packages.
    """

    def read(*, tests=False, **files):
        for name, text in files.items():
            path = tmp_path / f"{path_of(name)}.py"
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(dedent(text))
            for folder in path.relative_to(tmp_path).parents:
                if folder.name:
                    (tmp_path / folder / "__init__.py").touch()
        return read_tree(tmp_path, tests=tests)

    return read
