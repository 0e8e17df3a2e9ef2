"""The test to write for a gap, as code that can be pasted: the steps alone, with ``...`` for what only people know."""

from __future__ import annotations

import re
from collections.abc import Callable

from .model import Item


def code_for(item: Item, facet: str) -> str:
    """What to paste into a test; empty where nothing can be said.

    Args:
        item: what the gap is of.
        facet: the name of the facet that is open.
    """
    write = _LINES.get((item.kind, "hook:*" if facet.startswith("hook:") else facet))
    return write(item) if write is not None else ""


def _call(item: Item) -> str:
    """The call that enqueues a task, with the names of its parameters for its arguments."""
    return f"{item.title}.delay({', '.join(item.about.get('parameters', ()))})"


def _run(item: Item) -> str:
    return f"{_call(item)}; task_queue.run()"


def _retry(item: Item) -> str:
    cause = "with patch(..., side_effect=[error, DEFAULT]): "
    return f"{cause}{_call(item)}; task_queue.run_until_idle(); assert task_queue.retries"


def _exhaust(item: Item) -> str:
    return f"with patch(..., side_effect=error), pytest.raises(type(error)): {_call(item)}; task_queue.run_until_idle()"


def _fail(item: Item) -> str:
    return f"with patch(..., side_effect=error), pytest.raises(type(error)): {_call(item)}; task_queue.run()"


def _hook(item: Item) -> str:
    open_ones = {name for name, facet in item.facets.items() if facet.is_gap}
    return _fail(item) if "hook:on_failure" in open_ones else _run(item)


def _twice(item: Item) -> str:
    return f'task_queue.kill_worker(when="after_body"); {_call(item)}; task_queue.run_until_idle()'


def _expire(item: Item) -> str:
    return f"{item.title}.apply_async(..., expires=60); task_queue.run(after=120); task_queue.assert_empty()"


def _connect(item: Item) -> str:
    if item.about.get("protocol") == "channel":
        channel = f'"{item.about["path"]}"'
        return f'await channel_layer.send({channel}, {{"type": ...}}); await channel_layer.run({channel})'
    return f"async with websocket({_example(item)}, user=user) as browser: ..."


def _refuse(item: Item) -> str:
    return f"with pytest.raises(WebSocketRejected): await websocket({_example(item)}).connect()"


def _example(item: Item) -> str:
    return _filled(str(item.about["path"]))


def _filled(path: str) -> str:
    """The path as a text of Python: an f-string with its parameters, where there are any."""
    text = re.sub(r"<(?:\w+:)?(\w+)>", r"{\1}", path)
    return f'{"f" if text != path else ""}"{text}"'


def _handle(item: Item) -> str:
    path = _filled(next(iter(item.about.get("routes", ())), "/..."))
    method = str(item.about["handler"])
    if method in ("receive", "receive_json", "websocket_receive"):
        return f"async with websocket({path}) as browser: await browser.send_json(...)"
    if method in ("connect", "websocket_connect", "disconnect", "websocket_disconnect"):
        return f"async with websocket({path}): pass"
    kind = method.replace("_", ".", 1)
    return (
        f'async with websocket({path}) as browser: await channel_layer.group_send(..., {{"type": "{kind}"}}); '
        "await browser.receive_json()"
    )


def _enqueue(item: Item) -> str:
    task = str(item.about.get("task", "")).rpartition(".")[2]
    return f"...; task_queue.assert_enqueued({task}.s(...))" if task else ""


def _deliver(item: Item) -> str:
    return "async with websocket(...) as browser: ...; await browser.receive_json()"


def _frame(item: Item) -> str:
    return f'await browser.send_json({{"{item.about.get("field")}": "{item.about.get("value")}"}})'


_LINES: dict[tuple[str, str], Callable[[Item], str]] = {
    ("task", "run"): _run,
    ("task", "as_task"): _run,
    ("task", "succeeded"): _run,
    ("task", "retried"): _retry,
    ("task", "exhausted"): _exhaust,
    ("task", "expired"): _expire,
    ("task", "rejected"): _run,
    ("task", "twice"): _twice,
    ("task", "hook:*"): _hook,
    ("task", "mock_fits"): _enqueue,
    ("call", "enqueued"): _enqueue,
    ("route", "connected"): _connect,
    ("route", "run"): _connect,
    ("route", "refused"): _refuse,
    ("handler", "run"): _handle,
    ("frame", "received"): _frame,
    ("group", "delivered"): _deliver,
    ("message", "handled"): _deliver,
}
