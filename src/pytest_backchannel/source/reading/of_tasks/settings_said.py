"""Settings of Celery, Channels and mail, as settings modules and ``app.conf`` have them."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from ...index import SettingDef
from ..source_file import FUNCTIONS, SourceFile, literal, written
from ..surroundings import last_name

_NAMES = re.compile(
    r"(CELERY|CELERYD|CELERYBEAT|BROKER)_\w+|(\w+_)?BEAT_SCHEDULE|CHANNEL_LAYERS|ASGI_APPLICATION"
    r"|EMAIL_(BACKEND|HOST|PORT|TIMEOUT|USE_TLS|USE_SSL|FILE_PATH)"
)


def settings(file: SourceFile) -> Iterator[SettingDef]:
    """What is assigned at module level or in the body of a class, and to ``app.conf`` anywhere."""
    for target, value in file.assignments():
        yield from _assigned(file, target, value)
    for call in file.of_kind(ast.Call):
        if isinstance(call.func, ast.Attribute) and call.func.attr == "update" and last_name(call.func.value) == "conf":
            for one in call.keywords:
                if one.arg is not None:
                    yield _setting(file, f"conf.{one.arg}", one.value)


def _assigned(file: SourceFile, target: ast.expr, value: ast.expr) -> Iterator[SettingDef]:
    if isinstance(target, ast.Tuple) and isinstance(value, ast.Tuple) and len(target.elts) == len(value.elts):
        for one, given in zip(target.elts, value.elts, strict=True):
            yield from _assigned(file, one, given)
    elif isinstance(target, ast.Name) and _NAMES.fullmatch(target.id):
        if not any(isinstance(above, FUNCTIONS) for above, _ in file.ancestors(value)):
            yield _setting(file, target.id, value)
    elif isinstance(target, ast.Attribute) and last_name(target.value) == "conf":
        yield _setting(file, f"conf.{target.attr}", value)


def _setting(file: SourceFile, name: str, value: ast.expr) -> SettingDef:
    is_literal, known = literal(value)
    return SettingDef(name=name, value=known, literal=is_literal, source=written(value), place=file.place(value))
