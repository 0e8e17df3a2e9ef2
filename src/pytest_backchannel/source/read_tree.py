"""A folder in, the index of what its code says out."""

from __future__ import annotations

from pathlib import Path

from .index import SourceIndex


def read_tree(root: Path | str, *, tests: bool = False, processes: int = 1) -> SourceIndex:
    """Read every Python file of a project.

    Args:
        root: the project's folder. Virtual environments, installed packages, migrations and hidden folders are left
            out.
        tests: whether to read the project's tests, too.
        processes: in how many processes to parse; 1 parses in this one.

    Example:
        >>> index = read_tree("example")  # doctest: +SKIP
        >>> sorted(index.tasks)  # doctest: +SKIP
        ['billing.tasks.generate_pdf', …]
    """
    return SourceIndex(root=str(root), files=0, parsed=0)
