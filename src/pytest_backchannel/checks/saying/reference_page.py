"""The page of the documentation that lists all rules: ``python -m pytest_backchannel.checks.saying.reference_page``."""

from __future__ import annotations

from collections.abc import Iterator

from ..of_production import needs_production
from ..rule import Rule
from ..rule_table import FAMILIES, RULES, UNREADABLE

_HEAD = """\
# The rules of backchannel check

Each rule has a stable code. [Check a project](../how-to/check-a-project.md) tells how to run them, choose among them
and allow a single line. An *error* breaks what the code is there for; a *warning* hurts on a bad day. A rule speaks
only where the code itself shows it: what comes from the environment, from a dictionary or from another package is let
be.

<!-- Made from the rules; CONTRIBUTING.md says how. -->
"""


def reference_page() -> str:
    """The page, as Markdown."""
    lines = [_HEAD]
    for family, title in FAMILIES.items():
        rules = [rule for rule in RULES if rule.code.startswith(family)]
        lines.append(f"## {family}xx: {title}\n")
        lines.append("| Code | | What it says |\n|---|---|---|")
        lines.extend(f"| [{one.code}](#{_anchor(one)}) | {one.severity} | {one.summary} |" for one in rules)
        lines.append("")
        for rule in rules:
            lines.extend(_section(rule))
    return "\n".join(lines).rstrip() + "\n"


def _anchor(rule: Rule) -> str:
    return f"{rule.code.lower()}-{rule.name}"


def _section(rule: Rule) -> Iterator[str]:
    yield f"### {rule.code} {rule.name}\n"
    yield f"{rule.summary} {rule.why}\n"
    if needs_production(rule):
        how = "Only production's own settings show it" if not rule.wrong else "Production's own settings are asked, too"
        yield f"{how} (`backchannel_production_settings`).\n"
    by_itself = " `--fix` does it, where that is safe." if rule.mends else ""
    yield f"Fix: {rule.fix}{by_itself}" + (f" See [here](../{rule.page})." if rule.page else "") + "\n"
    if rule is not UNREADABLE and rule.wrong:
        # "py", and not "python" as what the tests of the docs run: these are parts of code, and a test lets the
        # rule itself read each of them.
        yield f"```py\n{rule.wrong.strip()}\n```\n"
        yield f"Better:\n\n```py\n{rule.right.strip()}\n```\n"


if __name__ == "__main__":
    print(reference_page(), end="")
