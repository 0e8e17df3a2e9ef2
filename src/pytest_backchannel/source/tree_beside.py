"""Reads a project's code in a process of its own, while this one does something else."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path

from .index import SourceIndex

_MARK = b"\npytest-backchannel index\n"


class TreeBeside:
    """A tree that is being read, from now on.

    Args:
        root: the project's folder.
    """

    def __init__(self, root: Path) -> None:
        self._root = root
        self._process = subprocess.Popen(
            [sys.executable, "-P", "-m", __name__, str(root)],
            # It finds this package where this process does; and it loads nothing of the project.
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
        )

    def index(self) -> SourceIndex:
        """What the code says; waits until it was read. It is read by this process where the other one could not.

        Raises:
            BackchannelError: there is no such folder.
        """
        # Not by a wait with a time-out: that sleeps, and a virtual clock may be in place.
        said, _ = self._process.communicate()
        # Whatever runs as Python starts may have printed something before it.
        _, mark, pickled = said.partition(_MARK)
        if self._process.returncode == 0 and mark:
            found: SourceIndex = pickle.loads(pickled)
            return found
        from .whole_tree import read_tree

        return read_tree(self._root)

    def end(self) -> None:
        """End the process, if it still reads."""
        if self._process.returncode is None:
            self._process.kill()
            self._process.communicate()


def main(root: str) -> None:
    """Read a tree, and write its index to the standard output."""
    from .whole_tree import read_tree

    pickled = pickle.dumps(read_tree(root))
    sys.stdout.flush()
    sys.stdout.buffer.write(_MARK + pickled)


if __name__ == "__main__":
    main(sys.argv[1])
