"""What Hypothesis draws: scenarios of tasks as plain data, which shrink to what a person can read.

A scenario says which queues and settings there are, what each task does (``does``: operations in their order), and the
steps: what is sent, and what happens then. It is written so that the outcome on a real worker is determined: what is a
race there is not drawn, rather than left out of the comparison.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

from hypothesis import strategies as st

from .values import VALUES

Scenario = dict[str, Any]

LATER = 0.3
"""A delay that ends while a scenario is played, in seconds."""
FAR = 600
"""One that does not."""

_leaf = {"does": [["return", "tag"]]}


def _some(options: dict[str, st.SearchStrategy[Any]], most: int) -> st.SearchStrategy[dict[str, Any]]:
    """A few of the options, and seldom many."""
    names = st.lists(st.sampled_from(sorted(options)), max_size=most, unique=True)
    return names.flatmap(lambda chosen: st.fixed_dictionaries({name: options[name] for name in sorted(chosen)}))


_TASK_OPTIONS: dict[str, st.SearchStrategy[Any]] = {
    "acks_late": st.just(True),
    "acks_on_failure_or_timeout": st.just(False),
    "reject_on_worker_lost": st.just(True),
    "max_retries": st.sampled_from([0, 1]),
    "default_retry_delay": st.sampled_from([0, LATER]),
    "ignore_result": st.just(True),
    "store_errors_even_if_ignored": st.just(True),
    "track_started": st.just(True),
    "serializer": st.sampled_from(["pickle", "yaml"]),
    "compression": st.just("gzip"),
    "expires": st.just(60),
    "trail": st.just(False),
    "typing": st.just(False),
}
_AUTORETRY = st.fixed_dictionaries(
    {
        "autoretry_for": st.sampled_from([["ValueError"], ["Exception"]]),
        "retry_kwargs": st.sampled_from([{"max_retries": 1, "countdown": 0}, {"max_retries": 1, "countdown": LATER}]),
    }
)
_CONF: dict[str, st.SearchStrategy[Any]] = {
    "task_acks_late": st.just(True),
    "task_acks_on_failure_or_timeout": st.just(False),
    "task_reject_on_worker_lost": st.just(True),
    "task_ignore_result": st.just(True),
    "task_store_errors_even_if_ignored": st.just(True),
    "task_track_started": st.just(True),
    "task_allow_error_cb_on_chord_header": st.just(True),
    "task_default_priority": st.just(3),
    "task_inherit_parent_priority": st.just(True),
    "task_serializer": st.just("pickle"),
    "result_serializer": st.just("pickle"),
    "accept_content": st.just(["json", "pickle"]),
    "result_extended": st.just(True),
    "worker_prefetch_multiplier": st.sampled_from([1, 0]),
    "task_protocol": st.just(1),
    "timezone": st.just("Asia/Tokyo"),
    "enable_utc": st.just(False),
    "task_soft_time_limit": st.just(30),
    "task_time_limit": st.just(60),
}
_HOOKS = ("before_start", "on_success", "on_failure", "on_retry", "after_return")
_SIGNALS = (
    "before_task_publish", "task_received", "task_prerun", "task_postrun", "task_success", "task_failure", "task_retry",
    "task_revoked",
)  # fmt: skip

_value = st.sampled_from(sorted(VALUES))
_plain_value = st.sampled_from(["number", "text", "list", "none"])
_results = st.one_of(st.just("tag"), st.just("args"), _value)


# -------------------------------------------------------------------- signatures, canvas


@st.composite
def _call(draw: Callable[..., Any], names: tuple[str, ...], timed: bool = True, plain: bool = False) -> Scenario:
    """One task with what ``apply_async`` and ``set`` may say of it."""
    sig: Scenario = {"task": draw(st.sampled_from(names))}
    if args := draw(st.lists(st.one_of(_plain_value, _value), max_size=2)):
        sig["args"] = args
    if draw(st.sampled_from(range(8))) == 7:
        sig["immutable"] = True
    options: dict[str, st.SearchStrategy[Any]] = {
        "ignore_result": st.just(True),
        "priority": st.sampled_from([0, 5]),
        "expires": st.just(60),
        "shadow": st.just("another name"),
        "headers": st.just({"of": "the project"}),
        "serializer": st.sampled_from(["pickle", "json"]),
        "time_limit": st.just(50),
    }
    if timed:
        options["countdown"] = st.sampled_from([0, LATER, FAR])
    if draw(st.sampled_from(range(4))) == 3 and (set_ := draw(_some(options, 2))):
        sig["set"] = set_
    if plain:
        return sig
    if draw(st.sampled_from(range(5))) == 4:
        sig["link"] = draw(st.lists(_call(("leaf",), timed=False, plain=True), min_size=1, max_size=2))
    if draw(st.sampled_from(range(3))) == 2:
        sig["link_error"] = draw(st.lists(errbacks, min_size=1, max_size=2))
    return sig


# A new dict each time, since a theme may add to it: one that is given by st.just() would keep that for the next draw.
errbacks = st.one_of(
    st.sampled_from(["errold", "errnew", "errbound"]).map(lambda name: {"task": name}),
    st.builds(lambda: {"task": "errbound", "immutable": True}),
)


def canvas(names: tuple[str, ...], depth: int = 2) -> st.SearchStrategy[Scenario]:
    """A workflow of at most this depth."""
    call = _call(names, timed=False)
    if not depth:
        return call
    part = st.one_of(call, call, canvas(names, depth - 1))

    def whole(kind: str, parts: list[Scenario], body: Scenario, on_error: list[Scenario]) -> Scenario:
        made: Scenario = {kind: parts}
        if kind == "chord":
            made["body"] = body
        if on_error:
            made["link_error"] = on_error
        return made

    return st.builds(
        whole,
        st.sampled_from(["chain", "group", "chord"]),
        st.lists(part, min_size=1, max_size=3),
        st.one_of(call, canvas(names, 0)),
        st.one_of(st.just([]), st.lists(errbacks, min_size=1, max_size=1)),
    )


# -------------------------------------------------------------------------- what tasks do


@st.composite
def _does(draw: Callable[..., Any], below: tuple[str, ...], kinds: tuple[str, ...] = ()) -> list[list[Any]]:
    """The operations of one task; it publishes only tasks that stand below it, so that there is an end."""
    operations: list[list[Any]] = []
    inner = st.one_of(_call(below, timed=False), canvas(below, 1)) if below else None
    for _ in range(draw(st.sampled_from(range(2 if below else 1)))):
        kind = draw(st.sampled_from(["publish", "state", "sleep", "add to chord"]))
        if kind == "sleep":
            operations.append(["sleep", 0.1])
        elif kind == "state":
            operations.append(["state", draw(st.sampled_from(["PROGRESS", "FAILURE"]))])
        else:
            assert inner is not None
            operations.append([kind, draw(inner)])
    last = draw(
        st.sampled_from(kinds or ("return", "return", "raise", "retry", "ignore", "reject", "replace", "swallow retry"))
    )
    if last == "return":
        operations.append(["return", draw(_results)])
    elif last == "raise":
        operations.append(
            [
                "raise",
                draw(
                    st.sampled_from(
                        ["ValueError", "KeyError", "Unpicklable", "MemoryError", "no text", "not JSON", "SystemExit"]
                    )
                ),
            ]
        )
    elif last == "retry":
        options = draw(_some({"exc": st.sampled_from(["ValueError", "Unpicklable"]), "throw": st.just(False)}, 1))
        operations.append(
            [
                "retry",
                {
                    "countdown": draw(st.sampled_from([0, LATER])),
                    "max_retries": draw(st.sampled_from([0, 1])),
                    **options,
                },
            ]
        )
    elif last == "reject":
        operations += [["reject", draw(st.sampled_from(["drop", "requeue once"]))], ["return", "tag"]]
    elif last == "replace" and inner is not None:
        operations.append(["replace", draw(inner)])
    elif last in ("ignore", "swallow retry"):
        operations.append([last])
    else:
        operations.append(["return", "tag"])
    return operations


@st.composite
def _task(draw: Callable[..., Any], below: tuple[str, ...] = (), kinds: tuple[str, ...] = ()) -> Scenario:
    spec: Scenario = {"does": draw(_does(below, kinds))}
    options = draw(_some(_TASK_OPTIONS, 3)) if draw(st.booleans()) else {}
    if draw(st.sampled_from(range(6))) == 5:
        options.update(draw(_AUTORETRY))
    if options:
        spec["options"] = options
    if draw(st.sampled_from(range(8))) == 7:
        spec["takes"] = "one"
    return spec


# ------------------------------------------------------------------------------- themes


@st.composite
def _options(draw: Callable[..., Any], profile: str) -> Scenario:
    """One task with any options and outcome."""
    sends = draw(st.lists(_call(("t0",)), min_size=1, max_size=2))
    return {"tasks": {"t0": draw(_task(("leaf",)))}, "steps": [["send", sig] for sig in sends]}


@st.composite
def _workflow(draw: Callable[..., Any], profile: str) -> Scenario:
    """A workflow two deep, of tasks with any outcome."""
    tasks = {"t0": draw(_task()), "t1": draw(_task(kinds=("return",)))}
    return {"tasks": tasks, "steps": [["send", draw(canvas(("t1", "leaf", "t0")))]]}


@st.composite
def _inside(draw: Callable[..., Any], profile: str) -> Scenario:
    """Tasks that publish, replace themselves and add to their chord."""
    tasks = {"t0": draw(_task(("t1", "leaf"), ("replace", "return", "replace"))), "t1": draw(_task(("leaf",)))}
    sig = draw(st.one_of(_call(("t0",), timed=False), canvas(("t0", "leaf"), 1)))
    return {"tasks": tasks, "steps": [["send", sig]]}


@st.composite
def _hooks(draw: Callable[..., Any], profile: str) -> Scenario:
    """Hooks, receivers of signals and errbacks that fail."""
    spec = draw(_task(kinds=("return", "raise", "retry", "ignore", "reject")))
    hooks = draw(st.lists(st.sampled_from(_HOOKS), max_size=2, unique=True))
    spec["hooks"] = dict.fromkeys(sorted(hooks), "raise")
    scenario = {"tasks": {"t0": spec}, "steps": [["send", draw(st.one_of(_call(("t0",)), canvas(("t0", "leaf"), 1)))]]}
    if draw(st.booleans()):
        failing = draw(st.lists(st.sampled_from(_SIGNALS), min_size=1, max_size=2, unique=True))
        scenario["receivers"] = dict.fromkeys(sorted(failing), "raise")
    if draw(st.booleans()):
        scenario["errbacks"] = "raise"
    return scenario


@st.composite
def _limits(draw: Callable[..., Any], profile: str) -> Scenario:
    """Time limits, soft and hard, that are hit or not."""
    limits = draw(
        st.sampled_from([{"time_limit": 1}, {"soft_time_limit": 0.5}, {"soft_time_limit": 0.5, "time_limit": 1}])
    )
    spec = {
        "does": [
            [draw(st.sampled_from(["sleep", "sleep at first"])), draw(st.sampled_from([0.1, 1.7]))],
            ["return", "tag"],
        ],
        "options": {
            **draw(_some({n: s for n, s in _TASK_OPTIONS.items() if n not in ("reject_on_worker_lost", "expires")}, 2)),
            **limits,
        },
    }
    sig = draw(st.one_of(_call(("t0",), timed=False), canvas(("t0", "leaf"), 1)))
    return {"tasks": {"t0": spec}, "steps": [["send", sig]]}


@st.composite
def _faults(draw: Callable[..., Any], profile: str) -> Scenario:
    """A worker or a child that is killed, before or after the body."""
    spec: Scenario = {
        "does": [["return", "tag"]],
        "options": draw(_some({n: s for n, s in _TASK_OPTIONS.items() if n not in ("expires",)}, 3)),
        "fault": [
            draw(st.sampled_from(["kill_worker", "lose_child"])),
            draw(st.sampled_from(["before_body", "after_body"])),
        ],
    }
    scenario: Scenario = {"tasks": {"t0": spec}, "steps": [["send", draw(_call(("t0",), timed=False))]]}
    if draw(st.booleans()):
        scenario["steps"] += [["settle"], ["send", draw(_call(("leaf",), timed=False, plain=True))]]
    if profile == "redis" and spec["fault"][0] == "kill_worker":
        # Longer than a worker takes to acknowledge: it does so in the next turn of its loop, up to a second later.
        scenario["broker_options"] = {
            "visibility_timeout": 3,
            "unacked_restore_interval": 1,
            "unacked_restore_throttle": 1,
        }
    return scenario


_QUEUES = st.lists(
    st.one_of(
        st.just({"exchange": "xt", "type": "topic", "key": "a.#"}),
        st.just({"exchange": "xt", "type": "topic", "key": "*.c"}),
        st.just({"exchange": "xt", "type": "topic", "key": "b.c"}),
        st.just({"exchange": "xf", "type": "fanout", "key": ""}),
        st.just({"exchange": "xd", "type": "direct", "key": "k"}),
        st.just({"exchange": "xd", "type": "direct", "key": "other"}),
        st.just({}),
    ),
    min_size=1,
    max_size=3,
)


@st.composite
def _routing(draw: Callable[..., Any], profile: str) -> Scenario:
    """Queues, exchanges, routes, and queues that nobody consumes."""
    queues = [{"name": "main"}] + [{"name": f"q{n}", **queue} for n, queue in enumerate(draw(_QUEUES), 1)]
    names = [queue["name"] for queue in queues]
    scenario: Scenario = {
        "queues": queues,
        "tasks": {"t0": draw(_task(("leaf",), ("return", "retry", "replace", "reject")))},
    }
    ways = st.one_of(
        st.sampled_from(names).map(lambda name: {"queue": name}),
        st.sampled_from(["a.c", "a.b", "b.c", "x"]).map(lambda key: {"exchange": "xt", "routing_key": key}),
        st.just({"exchange": "xf", "routing_key": "any"}),
        st.sampled_from(["k", "other", "nobody"]).map(lambda key: {"exchange": "xd", "routing_key": key}),
    )
    declared = {queue.get("exchange") for queue in queues}
    way = draw(ways.filter(lambda way: "queue" in way or way["exchange"] in declared))
    if draw(st.booleans()):
        scenario["routes"] = {draw(st.sampled_from(["t0", "leaf"])): way}
        scenario["steps"] = [["send", draw(_call(("t0", "leaf"), timed=False))]]
    else:
        scenario["steps"] = [["send", draw(_call(("t0",), timed=False)), way]]
    if draw(st.sampled_from(range(4))) == 3:
        scenario["consumes"] = sorted(draw(st.sets(st.sampled_from(names), min_size=1)))
    return scenario


@st.composite
def _priorities(draw: Callable[..., Any], profile: str) -> Scenario:
    """More messages of different priority than are fetched at once, in a queue that was filled before."""
    does: list[list[Any]] = [["return", "tag"]]
    if draw(st.booleans()):
        does.insert(0, ["publish", {"task": "leaf", "set": {"priority": draw(st.sampled_from(range(10)))}}])
    sends = draw(
        st.lists(st.tuples(st.sampled_from(["t0", "leaf"]), st.sampled_from(range(10))), min_size=2, max_size=4)
    )
    return {
        "queues": [{"name": "main", "max_priority": 9}],
        "conf": {"worker_prefetch_multiplier": 1},
        "tasks": {"t0": {"does": does}},
        "cold": True,
        "steps": [["send", {"task": task, "set": {"priority": priority}}] for task, priority in sends],
    }


@st.composite
def _revokes(draw: Callable[..., Any], profile: str) -> Scenario:
    """Tasks that are revoked while they wait for their eta, before they are sent, or when they are done."""
    sig = draw(st.one_of(_call(("t0",), timed=False), canvas(("t0", "leaf"), 1)))
    ids = [part["id"] for part in _calls(numbered_signature(sig))]
    late = draw(st.sampled_from([1.0, FAR]))
    for part in _calls(sig):
        if draw(st.booleans()):
            part.setdefault("set", {})["countdown"] = late
    who = draw(st.sampled_from(ids))
    steps: list[list[Any]] = [["send", sig], ["settle"], ["revoke", who], ["wait", 1.5]]
    if draw(st.sampled_from(range(4))) == 3:
        steps = [["revoke", who], ["send", sig]]
    return {"tasks": {"t0": draw(_task(kinds=("return", "raise", "retry")))}, "steps": steps}


@st.composite
def _expiry(draw: Callable[..., Any], profile: str) -> Scenario:
    """Tasks that are over before they are begun, and others."""
    options = draw(
        st.sampled_from(
            [{"expires": 0}, {"expires": -1}, {"countdown": 0.8, "expires": LATER}, {"countdown": LATER, "expires": 30}]
        )
    )
    sig = draw(_call(("t0",), timed=False))
    sig.setdefault("set", {}).update(options)
    outer = draw(st.sampled_from(["alone", "chain", "chord"]))
    if outer == "chain":
        sig = {"chain": [sig, {"task": "leaf"}]}
    elif outer == "chord":
        sig = {"chord": [sig, {"task": "leaf"}], "body": {"task": "leaf"}}
    return {"tasks": {"t0": draw(_task(kinds=("return", "raise")))}, "steps": [["send", sig]]}


@st.composite
def _rates(draw: Callable[..., Any], profile: str) -> Scenario:
    """A rate limit that makes some wait."""
    spec = draw(_task(kinds=("return", "raise", "retry")))
    spec.setdefault("options", {})["rate_limit"] = "4/s"
    sends = draw(st.lists(_call(("t0", "leaf"), timed=False, plain=True), min_size=2, max_size=3))
    return {"tasks": {"t0": spec}, "steps": [["send", sig] for sig in sends]}


THEMES: dict[str, Callable[[str], st.SearchStrategy[Scenario]]] = {
    "options": _options, "workflow": _workflow, "inside": _inside, "hooks": _hooks, "limits": _limits,
    "faults": _faults, "routing": _routing, "priorities": _priorities, "revokes": _revokes, "expiry": _expiry,
    "rates": _rates,
}  # fmt: skip
# How often each is drawn: those most often that have most to say.
WEIGHTS = {
    "options": 4, "workflow": 5, "inside": 5, "hooks": 4, "limits": 2, "faults": 2, "routing": 3, "priorities": 1,
    "revokes": 2, "expiry": 1, "rates": 1,
}  # fmt: skip


def shares(profile: str, number: int, themes: tuple[str, ...] = ()) -> list[tuple[st.SearchStrategy[Scenario], int]]:
    """What to draw for so many scenarios: a strategy for each theme, and how many of it.

    Each apart: Hypothesis likes to vary what it has drawn, and would leave whole themes out.
    """
    chosen = {theme: weight for theme, weight in WEIGHTS.items() if not themes or theme in themes}
    total = sum(chosen.values())
    return [(scenarios(profile, theme), max(1, round(number * weight / total))) for theme, weight in chosen.items()]


@st.composite
def scenarios(draw: Callable[..., Any], profile: str, theme: str) -> Scenario:
    """A scenario of one theme, for a broker of one profile."""
    scenario: Scenario = _copy({"theme": theme, **draw(THEMES[theme](profile))})
    if draw(st.sampled_from(range(3))) == 2:
        conf = {**draw(_some(_CONF, 3)), **scenario.get("conf", {})}
        if conf:
            scenario["conf"] = conf
    if theme in ("options", "workflow", "inside", "hooks") and draw(st.sampled_from(range(8))):
        scenario["cold"] = True
    return finished(scenario)


# --------------------------------------------------------------------- what a draw lacks


def finished(scenario: Scenario) -> Scenario:
    """The scenario with ids, with the tasks that it uses and no others, and without what has no end."""
    number = iter(range(1, 1000))
    for step in scenario["steps"]:
        if step[0] == "send":
            step[1] = numbered_signature(step[1], "n", number)
    for spec in scenario["tasks"].values():
        inner = iter(range(1, 1000))
        for operation in spec["does"]:
            if operation[0] in ("publish", "replace", "add to chord"):
                operation[1] = numbered_signature(operation[1], "c", inner)
                if operation[0] == "replace":
                    # What replaces a task has its id, and Celery gives it.
                    for call in _last(operation[1]):
                        call.pop("id", None)
    tasks = {**scenario["tasks"], "leaf": _copy(_leaf)}
    used = list(_used(scenario, tasks))
    scenario["tasks"] = {name: spec for name, spec in tasks.items() if name in used}
    for spec in scenario["tasks"].values():
        _end_it(spec, scenario)
    return scenario


def numbered_signature(sig: Scenario, prefix: str = "n", number: Iterator[int] | None = None) -> Scenario:
    """A signature whose tasks have ids, in the order in which they stand; a copy."""
    number = iter(range(1, 1000)) if number is None else number
    sig = _copy(sig)
    for call in _calls(sig):
        call["id"] = f"{prefix}{next(number)}"
    return sig


def _copy(value: Any) -> Any:
    # Not by copy.deepcopy: what was drawn twice as one object has to become two.
    return json.loads(json.dumps(value))


def _calls(sig: Scenario) -> Iterator[Scenario]:
    """The tasks in a signature, callbacks and errbacks too."""
    if "task" in sig:
        yield sig
    for kind in ("chain", "group", "chord"):
        for part in sig.get(kind, ()):
            yield from _calls(part)
    if "body" in sig:
        yield from _calls(sig["body"])
    for kind in ("link", "link_error"):
        for part in sig.get(kind, ()):
            yield from _calls(part)


def _last(sig: Scenario) -> list[Scenario]:
    if "task" in sig:
        return [sig]
    if "chord" in sig:
        return _last(sig["body"])
    if "chain" in sig:
        return _last(sig["chain"][-1])
    return []


def _used(scenario: Scenario, tasks: Scenario) -> Iterator[str]:
    waiting = [call["task"] for step in scenario["steps"] if step[0] == "send" for call in _calls(step[1])]
    seen = set()
    while waiting:
        name = waiting.pop()
        if name in seen or name not in tasks:
            continue
        seen.add(name)
        yield name
        for operation in tasks[name]["does"]:
            if operation[0] in ("publish", "replace", "add to chord"):
                waiting += [call["task"] for call in _calls(operation[1])]


def _end_it(spec: Scenario, scenario: Scenario) -> None:
    options, conf = spec.get("options", {}), scenario.get("conf", {})
    kills_itself = ["raise", "SystemExit"] in spec["does"]
    if kills_itself and (options.get("reject_on_worker_lost") or conf.get("task_reject_on_worker_lost")):
        # It would be delivered, and end its process, for ever.
        spec["does"] = [["raise", "ValueError"] if op == ["raise", "SystemExit"] else op for op in spec["does"]]
    if "autoretry_for" in options:
        options.pop("max_retries", None)
    late = options.get("acks_late") or conf.get("task_acks_late")
    refused = not options.get("acks_on_failure_or_timeout", conf.get("task_acks_on_failure_or_timeout", True))
    if late and refused and "time_limit" in options:
        # Delivered again after each time limit, for ever.
        spec["does"] = [["sleep at first", *op[1:]] if op[0] == "sleep" else op for op in spec["does"]]
    if any(op[0] == "swallow retry" for op in spec["does"]) and options.get("max_retries") == 0:
        options["max_retries"] = 1
