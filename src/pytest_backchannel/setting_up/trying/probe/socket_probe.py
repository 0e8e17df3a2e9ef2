"""Opens a WebSocket route through the application, and says what a test of it could assert."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from asgiref.sync import sync_to_async

from ....channels.routes import Route, websocket_routes
from ....errors import UnexpectedFrame, WebSocketClosed, WebSocketRejected
from ....inventory.child.telling import first_line
from ..sandbox import SANDBOX
from .expressions import expression, quoted
from .made_rows import Rows
from .made_values import model_for
from .patience_of_trials import TookTooLong, in_time

Answer = dict[str, Any]
_MOST_FRAMES = 4


async def probe_route(case: Mapping[str, Any], websocket: Callable[..., Any], *, signed_in: bool) -> Answer:
    """Try to connect.

    Args:
        case: the route: its ``path``, and ``app``, the module of its consumer.
        websocket: the fixture.
        signed_in: whether a user is.

    Returns:
        Either ``reason``, why this makes no test, or what the test is made of.
    """
    try:
        rows, path, code = await sync_to_async(_made)(case)
        given = {"user": await sync_to_async(_user)()} if signed_in else {}
    except Exception as error:
        return {"reason": f"no path can be made for it: {first_line(error)}"}
    return {
        "imports": sorted(rows.imports),
        "rows": rows.lines(is_async=True),
        "path": code,
        **await _connect(websocket, path, given, rows),
    }


def live_routes() -> list[dict[str, str]]:
    """The WebSocket routes that this process finds, for where a fresh one can't import the application."""
    from channels.routing import get_default_application

    return [
        {
            "path": route.path,
            "app": route.consumer.__module__ if route.consumer is not None else "",
            "where": "",
        }
        for route in websocket_routes(get_default_application())
    ]


def user_lines() -> tuple[list[str], list[tuple[str, str]]]:
    """What makes a user in a fixture: lines, of which the last is an expression; and what they import."""
    rows = Rows()
    _user(rows)
    *others, own = list(rows)
    line = own.line(is_async=False).partition(" = ")[2]
    _, bracket, arguments = line.partition("(")
    imports = sorted(rows.imports - {next(one for one in rows.imports if one[1] == own.model.__name__)})
    return [
        *(row.line(is_async=False) for row in others),
        f"django_user_model.objects.create{bracket}{arguments}",
    ], imports


def _user(rows: Rows | None = None) -> Any:
    from django.contrib.auth import get_user_model

    return (Rows() if rows is None else rows).of(get_user_model()).instance


def _made(case: Mapping[str, Any]) -> tuple[Rows, str, str]:
    """The rows that the path names, the path, and the code for it."""
    from channels.routing import get_default_application
    from django.apps import apps

    route = next(one for one in websocket_routes(get_default_application()) if one.path == case["path"])
    config = apps.get_containing_app_config(case["app"])
    rows = Rows(taken={"user", "browser", "websocket", "refused"})
    keys: dict[str, str] = {}
    values: dict[str, Any] = {}
    for name in route.parameters:
        model, _ = model_for(name, config.label if config is not None else "", ())
        if model is not None:
            row = rows.of(model)
            values[name], keys[name] = row.instance.pk, f"{row.name}.pk"
    return rows, _path(route, values), _code(route, values, keys)


def _path(route: Route, values: Mapping[str, Any]) -> str:
    try:
        return route.path_for(**values)
    except ValueError:
        if values or route.example is None:
            raise
        return route.example


def _code(route: Route, values: Mapping[str, Any], keys: Mapping[str, str]) -> str:
    if not values:
        return quoted(_path(route, values))
    # Marks that no path has, in the places of the keys.
    path = route.path_for(**{name: f"\0{name}\0" for name in values}).replace("{", "{{").replace("}", "}}")
    for name, code in keys.items():
        path = path.replace(f"\0{name}\0", f"{{{code}}}")
    return f"f{quoted(path)}"


async def _connect(websocket: Callable[..., Any], path: str, given: Mapping[str, Any], rows: Rows) -> Answer:
    refused: list[str] = []
    try:
        with SANDBOX.arm(refused), in_time():
            answer = await _observe(websocket, path, given, rows)
    except (Exception, TookTooLong) as error:
        answer = {"reason": f"it failed: {first_line(error)}"}
    return {"reason": f"it reaches for {refused[0]}"} if refused else answer


async def _observe(websocket: Callable[..., Any], path: str, given: Mapping[str, Any], rows: Rows) -> Answer:
    known = rows.known()
    frames: list[str] = []
    try:
        async with websocket(path, **given) as browser:
            while True:
                try:
                    await browser.receive_nothing(within=0)
                    return {"outcome": "open", "frames": frames}
                except UnexpectedFrame:
                    if len(frames) == _MOST_FRAMES:
                        return {"reason": f"it sends more than {_MOST_FRAMES} frames by itself"}
                    frames.append(_frame(await browser.receive_text(), known))
                except WebSocketClosed:
                    close = await browser.expect_close()
                    return {"outcome": "closed", "code": close.code, "frames": frames}
    except WebSocketRejected as refusal:
        return {"outcome": "refused", "status": refusal.http_status}


def _frame(text: str, known: Any) -> str:
    try:
        code = expression(json.loads(text), known)
        method = "receive_json"
    except ValueError:
        code, method = expression(text, known), "receive_text"
    return f"assert await browser.{method}() == {code}" if code is not None else f"assert await browser.{method}()"
