"""How long `backchannel check` takes for a tree of many files, without a cache, with one, and with one file changed.

    python benchmarks/check_speed.py [FILES] [--of FOLDER]

The tree is made of copies of the files of a folder: by default of the example's. CPU time is that of all processes.
"""

from __future__ import annotations

import argparse
import resource
import shutil
import tempfile
import time
from pathlib import Path

from pytest_backchannel.checks.check_tree import check_tree

EXAMPLE = Path(__file__).parents[1] / "example"


def make(folder: Path, files: int, of: Path) -> None:
    """Copies of the files of another folder, each copy a package of its own."""
    sources = [path for path in sorted(of.rglob("*.py")) if ".venv" not in path.parts]
    number = 0
    while True:
        for source in sources:
            if number == files:
                return
            target = folder / f"project_{number // len(sources)}" / source.relative_to(of)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(source, target)
            number += 1


def cpu() -> float:
    """Seconds of this process and of those that have ended."""
    return sum(
        one.ru_utime + one.ru_stime for one in map(resource.getrusage, (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))
    )


def main() -> None:
    """Three runs, each with its time."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", nargs="?", type=int, default=5000)
    parser.add_argument("--of", type=Path, default=EXAMPLE)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder, cache = Path(name, "tree"), Path(name, "cache")
        make(folder, options.files, options.of)
        for what in ("first run", "nothing changed", "one file changed"):
            if what == "one file changed":
                with next(folder.rglob("*.py")).open("a") as file:
                    file.write("\n# changed\n")
            before, started = cpu(), time.perf_counter()
            result = check_tree(folder, cache=cache, processes=2)
            took = time.perf_counter() - started
            print(f"{what}: {took:.1f} s, {cpu() - before:.1f} s CPU, {result.files} files", flush=True)


if __name__ == "__main__":
    main()
