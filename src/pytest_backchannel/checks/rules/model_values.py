"""What an expression gives that goes to Django's models, as far as the code says it."""

from __future__ import annotations

import ast

from ...source.reading.surroundings import last_name
from ..checked_file import CheckedFile

_INSTANCES = frozenset({"get", "create", "first", "last", "earliest", "latest"})
_QUERYSETS = frozenset({"all", "filter", "exclude", "order_by", "select_related", "values", "values_list", "distinct"})
_OTHERS = frozenset(
    {"count", "exists", "update", "delete", "get_or_create", "update_or_create", "bulk_create", "bulk_update"}
    | {"aggregate", "in_bulk"}
)
ASKS_THE_DATABASE = _INSTANCES | _OTHERS
"""Methods of a manager or queryset that run a query at once."""


def chain_of(node: ast.expr) -> tuple[str, ...]:
    """The names of a chain of attributes and calls: ``Order.objects.filter(…).first()`` has four."""
    names: list[str] = []
    while True:
        if isinstance(node, ast.Call):
            node = node.func
        elif isinstance(node, ast.Attribute):
            names.append(node.attr)
            node = node.value
        else:
            break
    if isinstance(node, ast.Name):
        names.append(node.id)
    return tuple(reversed(names))


def manager_chain(node: ast.expr) -> tuple[str, ...]:
    """What a chain calls on ``Model.objects``, in order; empty where it is no such chain."""
    chain = chain_of(node)
    if "objects" not in chain or not isinstance(node, ast.Call):
        return ()
    number = chain.index("objects")
    model = chain[number - 1] if number else ""
    return chain[number + 1 :] if model[:1].isupper() else ()


def model_value(file: CheckedFile, node: ast.expr) -> str | None:
    """``a model instance`` or ``a queryset``, where an expression surely is one."""
    if not isinstance(node, ast.Call):
        return None
    if last_name(node.func) == "get_object_or_404":
        return "a model instance" if (file.scopes.dotted(node.func) or "").startswith("django.") else None
    chain = manager_chain(node)
    if not chain or "objects" in chain or chain[-1] not in _INSTANCES | _QUERYSETS:
        return None
    if chain[-1] in _QUERYSETS:
        return "a queryset" if set(chain) <= _QUERYSETS else None
    return "a model instance" if set(chain[:-1]) <= _QUERYSETS - {"values", "values_list"} else None
