"""A module that hides packages from the process which imports it: as if they were not installed."""

from __future__ import annotations

from collections.abc import Iterable
from textwrap import dedent

_MODULE = """
    import sys

    class Without:
        # A finder that does not see some packages.
        def __init__(self, finder):
            self.finder = finder

        def __getattr__(self, name):
            return getattr(self.finder, name)

        def find_spec(self, name, path=None, target=None):
            return None if name.partition(".")[0] in {names!r} else self.finder.find_spec(name, path, target)

    sys.meta_path[:] = [Without(finder) for finder in sys.meta_path]
"""


def hiding(names: Iterable[str]) -> str:
    """The text of the module.

    Args:
        names: of the packages.
    """
    return dedent(_MODULE).format(names=tuple(names))
