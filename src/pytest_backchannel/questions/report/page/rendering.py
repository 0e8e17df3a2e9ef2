"""Renders the page: one file that asks the network for nothing, and is not allowed to."""

from __future__ import annotations

import base64
import hashlib
import re
from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from ..model import Report
from .excerpts import Excerpts, root_of
from .page_data import page_of

if TYPE_CHECKING:
    from ...audit.output.audit_found import AuditFound

_PACKAGE = __name__.rpartition(".")[0]


def render(report: Report, start: Path) -> str:
    """The page of a report, with what the audit of the same run has found.

    Args:
        report: what to show.
        start: the current folder; the code of the project is looked for from there.
    """
    return _rendered("page.html.jinja", page_of(report, Excerpts(root_of(report, start), start)))


def render_audit(found: AuditFound, start: Path) -> str:
    """The page of an audit alone.

    Args:
        found: by the audit.
        start: the current folder.
    """
    from .shown_audit import audit_page_of  # which the page of a report has no need of

    return _rendered("audit.html.jinja", audit_page_of(found, Excerpts(Path(found.root or start), start)))


def _rendered(template: str, page: object) -> str:
    style, script = (files(_PACKAGE).joinpath(name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    environment = Environment(
        loader=PackageLoader(_PACKAGE, ""),
        # Everything is somebody's text: a task's name, a test's id, a message. Only our own style and script are not.
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["breakable"] = _breakable
    return environment.get_template(template).render(
        page=page,
        style=Markup(style),
        script=Markup(script),
        policy=_policy(style, script),
    )


def _breakable(name: str) -> Markup:
    """A name that may go on in the next line where one would break it by hand: after a dot, a slash, an underscore."""
    return Markup("<wbr>").join(_PARTS.findall(name))


_PARTS = re.compile(r"[^._/:\[]*[._/:\[]+|[^._/:\[]+")


def _policy(style: str, script: str) -> str:
    """What the browser may load: our own style and script, known by their hashes, and nothing from anywhere."""
    rules = [
        "default-src 'none'",
        f"style-src {_hash(style)}",
        f"script-src {_hash(script)}",
        "img-src data:",
        "base-uri 'none'",
        "form-action 'none'",
    ]
    return "; ".join(rules)


def _hash(text: str) -> str:
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
