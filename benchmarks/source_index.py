"""How long the static index of a project takes: of a tree that is made for it, or of one that is given.

    python benchmarks/source_index.py [--files 5000] [--rounds 3] [FOLDER]

The made tree is the example over and over, in packages of their own: far more of its files have tasks and consumers
than in a project. The budget is 5,000 files in ten seconds on two processors, and 4 ms for a file that is parsed.
"""

from __future__ import annotations

import argparse
import shutil
import statistics
import tempfile
import time
from pathlib import Path

from pytest_backchannel.source import SourceIndex, read_tree

EXAMPLE = Path(__file__).parents[1] / "example"


def make_tree(folder: Path, files: int) -> None:
    """Copies of the example's packages, each copy below a package of its own."""
    sources = [path for path in EXAMPLE.rglob("*.py") if not {"migrations", "tests"} & set(path.parts)]
    for number in range(files // len(sources)):
        copy = folder / f"copy{number}"
        copy.mkdir()
        (copy / "__init__.py").touch()
        for path in sources:
            target = copy / path.relative_to(EXAMPLE)
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copy(path, target)


def measure(folder: Path, rounds: int, processes: int) -> None:
    """Print the median of some rounds."""
    times: list[float] = []
    index = SourceIndex(root="", files=0, parsed=0)
    for _ in range(rounds):
        start = time.perf_counter()
        index = read_tree(folder, processes=processes)
        times.append(time.perf_counter() - start)
    seconds = statistics.median(times)
    print(
        f"  {processes} process(es): {seconds:6.2f} s for {index.files} files, {index.parsed} of them parsed: "
        f"{seconds / max(index.parsed, 1) * 1000:.2f} ms for each that was parsed; "
        f"{len(index.tasks)} tasks, {len(index.enqueues)} enqueues, {len(index.consumers)} consumers"
    )


def main() -> None:
    """Measure in one process, and in two."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("folder", nargs="?", type=Path, help="a project to measure instead")
    parser.add_argument("--files", type=int, default=5000)
    parser.add_argument("--rounds", type=int, default=3)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name:
        folder = options.folder or Path(name)
        if options.folder is None:
            make_tree(folder, options.files)
        print(options.folder or "the example, over and over")
        for processes in (1, 2):
            measure(folder, options.rounds, processes)


if __name__ == "__main__":
    main()
