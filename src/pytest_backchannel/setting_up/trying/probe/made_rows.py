"""Rows that a task or a route asks for: made with what their model requires, and the code that makes them."""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from .expressions import quoted

_DEEPEST = 4


@dataclass
class Row:
    """A row.

    Attributes:
        name: of the variable that holds it in the test.
        model: its class.
        instance: itself.
        arguments: the arguments of ``create``, as code.
    """

    name: str
    model: Any
    instance: Any
    arguments: str

    def line(self, *, is_async: bool) -> str:
        """The line of the test that makes it."""
        manager = "objects" if hasattr(self.model, "objects") else "_default_manager"
        call = f"{self.model.__name__}.{manager}.{'acreate' if is_async else 'create'}({self.arguments})"
        return f"{self.name} = {'await ' if is_async else ''}{call}"


class Rows:
    """The rows of one test, at most one of each model.

    Args:
        taken: names that no variable may have.
    """

    def __init__(self, taken: Iterable[str] = ()) -> None:
        self._taken = set(taken)
        self._rows: dict[Any, Row] = {}
        self.imports: set[tuple[str, str]] = set()

    def __iter__(self) -> Iterator[Row]:
        return iter(self._rows.values())

    def of(self, model: Any, depth: int = 0) -> Row:
        """The row of a model; made, with those that it refers to, where there is none yet.

        Raises:
            Exception: whatever the database or the model raises.
        """
        if model in self._rows:
            return self._rows[model]
        if depth > _DEEPEST:
            raise ValueError(f"rows of {model.__name__} refer to others without end")
        values: dict[str, Any] = {}
        codes: dict[str, str] = {}
        for one in _required(model):
            if one.remote_field is not None:
                other = self.of(one.remote_field.model, depth + 1)
                values[one.name], codes[one.name] = other.instance, other.name
            else:
                values[one.name], codes[one.name] = self._value(one)
        manager = getattr(model, "objects", model._default_manager)
        instance = manager.create(**values)
        arguments = ", ".join(f"{name}={code}" for name, code in codes.items())
        row = Row(self._name(model), model, instance, arguments)
        self._rows[model] = row
        self.imports.add(importable(model))
        return row

    def lines(self, *, is_async: bool = False) -> list[str]:
        """The lines that make them, in order."""
        return [row.line(is_async=is_async) for row in self]

    def known(self) -> list[tuple[Any, str]]:
        """Their keys, with the code for each."""
        return [(row.instance.pk, f"{row.name}.pk") for row in self]

    def _name(self, model: Any) -> str:
        name = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", model.__name__).lower()
        while name in self._taken:
            name = f"{name}_row"
        self._taken.add(name)
        return name

    def _value(self, one: Any) -> tuple[Any, str]:
        """A value for a field, and the code for it."""
        from django.utils import timezone

        if one.choices:
            first = next(iter(one.flatchoices))[0]
            return first, quoted(first) if isinstance(first, str) else repr(first)
        kind = one.get_internal_type()
        if kind == "DateTimeField":
            self.imports.add(("django.utils", "timezone"))
            return timezone.now(), "timezone.now()"
        if kind in ("DateField", "TimeField", "DurationField", "UUIDField"):
            text = {"DateField": "2026-01-31", "TimeField": "12:00", "DurationField": "1"}.get(
                kind, "00000000-0000-4000-8000-000000000001"
            )
            return one.to_python(text), quoted(text)
        if kind == "JSONField":
            return {}, "{}"
        if kind == "BinaryField":
            return b"x", 'b"x"'
        if "Integer" in kind or kind in ("FloatField", "DecimalField"):
            return 1, "1"
        if kind == "BooleanField":
            return False, "False"
        if "Array" in kind:
            return [], "[]"
        text = _text_for(one, kind)
        return text, quoted(text)


def _text_for(one: Any, kind: str) -> str:
    name = one.name.lower()
    if "IPAddress" in kind:
        return "127.0.0.1"
    validators = {type(validator).__name__ for validator in one.validators}
    if "EmailValidator" in validators or "email" in name:
        return "ada@example.com"
    if "URLValidator" in validators or "url" in name:
        return "https://example.com/"
    if kind == "SlugField" or "name" in name:
        return "ada"[: one.max_length]
    return name.replace("_", " ")[: one.max_length or 40]


def _required(model: Any) -> list[Any]:
    """The fields that a row has to have, or that a form would ask for."""
    return [one for one in model._meta.concrete_fields if _is_required(one)]


def _is_required(one: Any) -> bool:
    from django.db.models import NOT_PROVIDED
    from django.db.models.fields.files import FileField

    automatic = one.primary_key and one.get_internal_type() in ("AutoField", "BigAutoField", "SmallAutoField")
    given = one.has_default() or getattr(one, "db_default", NOT_PROVIDED) is not NOT_PROVIDED
    by_itself = (
        getattr(one, "auto_now", False) or getattr(one, "auto_now_add", False) or getattr(one, "generated", False)
    )
    parent = one.remote_field is not None and getattr(one.remote_field, "parent_link", False)
    if automatic or given or by_itself or parent or one.null or isinstance(one, FileField):
        return False
    return one.name != "password" and not (one.blank and one.empty_strings_allowed)


def importable(thing: Any) -> tuple[str, str]:
    """The module and the name by which a class or function is imported: by the shortest package that has it."""
    module, name = thing.__module__, thing.__name__
    parts = module.split(".")
    for end in range(2, len(parts)):
        package = sys.modules.get(".".join(parts[:end]))
        if getattr(package, name, None) is thing:
            return ".".join(parts[:end]), name
    return module, name
