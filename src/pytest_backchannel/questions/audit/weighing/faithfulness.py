"""Whether a clean shadow did what the real run has done: where it did not, nothing is concluded from it."""

from __future__ import annotations

from ..audit_data import BodyRun, Tables
from .noise import Noise
from .row_changes import DEATH, row_changes


def difference(clean: BodyRun, real: Tables, mails: int | None, noise: Noise) -> str:
    """How they differ, in words; empty where they do not.

    What callbacks of ``on_commit`` do is left out: under pytest-django they run in some tests, and not in others.

    Args:
        clean: what the shadow did.
        real: the rows of its tables after the real run; a table that is not there is not compared.
        mails: how many mails the real run has sent; None where that is not known.
        noise: what is not looked at.
    """
    late = {effect.of for effect in clean.effects if effect.kind == "row" and effect.late}
    tables = {table: rows for table, rows in clean.after.items() if table in real and table not in late}
    compared = {table: real[table] for table in tables}
    for finding in row_changes(tables, compared, clean.before, noise, DEATH):
        if finding.level != "small":
            return finding.text
    sent = [effect for effect in clean.effects if effect.kind == "mail"]
    at_once = sum(not effect.late for effect in sent)
    if mails is not None and not at_once <= mails <= len(sent):
        return f"{len(sent)} mails in the shadow, {mails} in the test"
    return ""
