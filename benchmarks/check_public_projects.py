"""What `backchannel check` says of public projects: a table of rules by projects, and each finding with its place.

    python benchmarks/check_public_projects.py CHECKOUT [CHECKOUT …] [--findings]

Nothing of a checkout is imported. benchmarks/judged_findings.md says of each finding whether its claim is true.
"""

from __future__ import annotations

import argparse
from collections import Counter
from pathlib import Path

from pytest_backchannel.checks.check_tree import CheckedResult, check_tree
from pytest_backchannel.checks.pytest_configuration import configuration_of


def table(results: dict[str, CheckedResult]) -> str:
    """Markdown: a row for each rule that spoke, a column for each project."""
    counts = {name: Counter(one.code for one in result.diagnostics) for name, result in results.items()}
    codes = sorted({code for each in counts.values() for code in each})
    lines = ["| Rule | " + " | ".join(results) + " | all |", "|---|" + "---|" * (len(results) + 1)]
    rows = [(code, [counts[name][code] for name in results]) for code in codes]
    rows.append(("all", [sum(counts[name].values()) for name in results]))
    lines += [f"| {code} | " + " | ".join(map(str, row)) + f" | {sum(row)} |" for code, row in rows]
    files = [result.files for result in results.values()]
    lines.append("| files | " + " | ".join(map(str, files)) + f" | {sum(files)} |")
    return "\n".join(lines)


def main() -> None:
    """Check each checkout in turn."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("checkouts", nargs="+", type=Path)
    parser.add_argument("--findings", action="store_true", help="list each finding, too")
    options = parser.parse_args()
    results = {
        path.name: check_tree(path, processes=2, configuration=configuration_of(path)[1]) for path in options.checkouts
    }
    print(table(results))
    for name, result in results.items() if options.findings else ():
        for one in result.diagnostics:
            print(f"{name}\t{one.code}\t{one.path}:{one.line}\t{one.message}")


if __name__ == "__main__":
    main()
