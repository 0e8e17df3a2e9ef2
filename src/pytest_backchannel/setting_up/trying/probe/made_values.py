"""Values for the parameters of a task: by call sites, annotations and names; several to try where nothing tells."""

from __future__ import annotations

import ast
import inspect
import re
import typing
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .expressions import quoted
from .made_rows import Rows

UNKNOWN = (2, "hello", [2, 3], {"text": "hello"})
"""What is tried, one after the other, for a parameter of which nothing is known."""

_ID = re.compile(r"(?P<of>\w*?)_?(?P<kind>id|pk|uuid|key)(?P<many>s?)")
_BY_NAME: tuple[tuple[str, Any], ...] = (
    (r".*e?mail.*|to|recipients?|sender", "ada@example.com"),
    (r".*(url|uri|link|href).*", "https://example.com/"),
    (r".*(filename|path|file)", "example.txt"),
    (r"(is|has|with|should|force|dry)_.*|.*(flag|enabled)", False),
    (r"month", "2026-01"),
    (r"year", 2026),
    (r".*(date|day)", "2026-01-31"),
    (r"(data|payload|context|content|options|params|event|body_data)", {"text": "hello"}),
    (r".*(text|message|name|title|subject|body|slug|room|group|label|status|code|lang.*|token)", "hello"),
    (r".*(count|number|amount|quantity|size|limit|total|seconds|days|minutes|hours|price|x|y)|[abnijk]", 2),
)
_BY_TYPE: dict[Any, Any] = {
    int: 2, float: 1.5, str: "hello", bool: False, list: [2, 3], tuple: [2, 3], dict: {"text": "hello"}, bytes: "hello"
}  # fmt: skip


@dataclass(frozen=True)
class Made:
    """A value.

    Attributes:
        value: itself.
        code: what makes it in the test.
    """

    value: Any
    code: str


def arguments(
    function: Any, hints: Mapping[str, Sequence[str]], rows: Rows, attempt: int, app_label: str
) -> list[Made] | None:
    """The positional arguments for one attempt; None where there is nothing else to try.

    Args:
        function: the task's ``run``.
        hints: literals that the project's own calls give, by parameter.
        rows: makes the rows that are asked for.
        attempt: which one it is, from 0.
        app_label: the application of the task, whose models come before others of the same name.

    Raises:
        Exception: a row can't be made.
    """
    made = []
    may_vary = False
    for parameter in _required(function):
        one, varies = _made(parameter, function, hints.get(parameter.name, ()), rows, attempt, app_label)
        may_vary = may_vary or varies
        made.append(one)
    return made if attempt == 0 or may_vary else None


def _required(function: Any) -> Iterator[inspect.Parameter]:
    for parameter in inspect.signature(function).parameters.values():
        is_named = parameter.kind in (parameter.POSITIONAL_ONLY, parameter.POSITIONAL_OR_KEYWORD)
        if is_named and parameter.default is parameter.empty:
            yield parameter
        elif parameter.kind is parameter.KEYWORD_ONLY and parameter.default is parameter.empty:
            raise ValueError(f"its parameter {parameter.name!r} is given by name alone")


def _made(
    parameter: inspect.Parameter, function: Any, hints: Sequence[str], rows: Rows, attempt: int, app_label: str
) -> tuple[Made, bool]:
    model, is_many = model_for(parameter.name, app_label, _models_in(function))
    kind = _type_of(parameter, function)
    if model is not None and kind in (None, int, str, list):
        return _key_of(model, rows, is_many=is_many or kind is list), False
    if attempt < len(hints):
        return _literal(ast.literal_eval(hints[attempt])), True
    if kind is not None:
        return _literal(_text_for(parameter.name) if kind is str else _BY_TYPE[kind]), bool(hints)
    values = [value for pattern, value in _BY_NAME if re.fullmatch(pattern, parameter.name)][:1]
    values += [value for value in UNKNOWN if value not in values]
    return _literal(values[(attempt - len(hints)) % len(values)]), True


def _text_for(name: str) -> str:
    return next(
        (value for pattern, value in _BY_NAME if isinstance(value, str) and re.fullmatch(pattern, name)), "hello"
    )


def _literal(value: Any) -> Made:
    return Made(value, quoted(value) if isinstance(value, str) else repr(value).replace("'", '"'))


def _key_of(model: Any, rows: Rows, *, is_many: bool) -> Made:
    row = rows.of(model)
    key, code = row.instance.pk, f"{row.name}.pk"
    if not isinstance(key, int | str):
        key, code = str(key), f"str({code})"
    return Made([key], f"[{code}]") if is_many else Made(key, code)


def model_for(name: str, app_label: str, named: Iterable[Any]) -> tuple[Any, bool]:
    """The model whose key a parameter is, by its name; and whether it is a list of keys.

    Args:
        name: the parameter's name.
        app_label: the application whose models come first.
        named: the models that the code names: the one that a plain ``pk`` is of.
    """
    from django.apps import apps

    match = _ID.fullmatch(name)
    if match is None:
        return None, False
    of = match["of"].replace("_", "")
    models = sorted(apps.get_models(), key=lambda model: model._meta.app_label != app_label)
    if of == "user":
        from django.contrib.auth import get_user_model

        return (get_user_model() if apps.is_installed("django.contrib.auth") else None), bool(match["many"])
    for model in models:
        if of and model._meta.model_name == of:
            return model, bool(match["many"])
    candidates = list(dict.fromkeys(named))
    is_general = of in ("", "obj", "object", "instance", "item", "model", "row", "record")
    if candidates and (is_general or len(candidates) == 1):
        return candidates[0], bool(match["many"])
    return None, False


def _models_in(function: Any) -> list[Any]:
    """The models that a function names."""
    from django.db.models import Model

    inner = inspect.unwrap(getattr(function, "__func__", function))
    code = getattr(inner, "__code__", None)
    values: list[Any] = [inner.__globals__.get(name) for name in code.co_names] if code is not None else []
    models: list[Any] = [value for value in values if inspect.isclass(value) and issubclass(value, Model)]
    return [model for model in models if not model._meta.abstract]


def _type_of(parameter: inspect.Parameter, function: Any) -> Any:
    """The plain type that an annotation means; None where it says none."""
    inner = inspect.unwrap(getattr(function, "__func__", function))
    try:
        annotation = typing.get_type_hints(inner).get(parameter.name)
    except Exception:  # a name that is imported for type checkers alone
        return None
    for one in (annotation, *typing.get_args(annotation)):
        kind = typing.get_origin(one) or one
        if kind in _BY_TYPE:
            return kind
    return None
