"""What one file says, as plain data that can travel between processes; names are still to be followed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from ..index import SettingDef
from ..places import Place, Surroundings, Unread
from ..task_facts import Arguments, Parameter
from .templates import Template


@dataclass(frozen=True, kw_only=True)
class Value:
    """What is assigned to a name: another name, a call, or a string; what is not one of them has none."""

    dotted: str | None = None
    call: str | None = None
    first_argument: str | None = None
    template: Template | None = None


@dataclass(frozen=True, kw_only=True)
class FunctionFacts:
    """A function or method."""

    place: Place
    is_async: bool
    parameters: tuple[Parameter, ...]
    decorators: tuple[str, ...]
    returned: Template | None = None
    returned_calls: tuple[str, ...] = ()
    message_type: Template | None = None
    message_keys: tuple[str, ...] | None = None
    builds_signature: bool = False
    calls_retry: tuple[int, ...] = ()
    raises_retry: tuple[int, ...] = ()
    self_calls: tuple[tuple[str, int], ...] = ()
    self_names: frozenset[str] = frozenset()
    scope_keys: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True)
class ClassFacts:
    """A class; its methods stand among the functions, by their qualified names."""

    place: Place
    bases: tuple[str, ...]
    methods: tuple[str, ...]
    options: Mapping[str, object] = field(default_factory=dict[str, object])
    option_sources: Mapping[str, str] = field(default_factory=dict[str, str])
    groups: tuple[Template, ...] = ()


@dataclass(frozen=True, kw_only=True)
class RawTask:
    """A function whose decorator may be Celery's."""

    qualname: str
    alias: str
    decorator: str
    decorator_source: str
    name: Template | None
    bound: bool
    base: str
    options: Mapping[str, object]
    option_sources: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class RawEnqueue:
    """What may be an enqueue: ``certain`` where the method's name alone says so."""

    place: Place
    kind: str
    method: str
    target: str
    dotted: str | None
    name: Template | None
    certain: bool
    called: bool
    workflow: str
    applied: str
    callback: str
    arguments: Arguments
    around: Surroundings


@dataclass(frozen=True, kw_only=True)
class RawBeat:
    """An entry of a beat schedule."""

    place: Place
    name: str | None
    task: Template | None
    dotted: str | None
    schedule: str
    arguments: Arguments
    source: str


@dataclass(frozen=True, kw_only=True)
class RawGroupUse:
    """A use of a group or channel."""

    place: Place
    action: str
    group: Template
    group_source: str
    class_name: str
    message_type: Template | None
    message_ref: str | None
    message_keys: tuple[str, ...] | None
    group_parameter: str | None
    message_parameter: str | None
    through: str
    around: Surroundings


@dataclass(frozen=True, kw_only=True)
class RawMessage:
    """A call that is given a literal message: it may be of a function that sends it."""

    place: Place
    dotted: str
    position: int | str
    message_type: Template
    message_keys: tuple[str, ...] | None
    arguments: Mapping[int | str, Template]
    class_name: str
    around: Surroundings


@dataclass(frozen=True, kw_only=True)
class RawBranch:
    """One literal to which a value of a client's JSON is compared."""

    method: str
    field: str
    style: str
    value: str | int
    line: int
    place: Place
    calls: tuple[str, ...] = ()
    has_default: bool = False


@dataclass(frozen=True, kw_only=True)
class RawRoute:
    """A path whose endpoint may be a consumer."""

    place: Place
    pattern: Template
    kind: str
    consumer: str | None
    consumer_source: str
    name: str | None
    list_name: str | None
    middleware: tuple[str, ...]
    router: int | None


@dataclass(frozen=True, kw_only=True)
class RawRouter:
    """A ``URLRouter`` with the lists that it is given and what stands before it."""

    line: int
    lists: tuple[str, ...]
    middleware: tuple[str, ...]
    protocol: str
    prefix: Template


@dataclass(frozen=True, kw_only=True)
class FileFacts:
    """All that one file says."""

    path: str
    module: str
    imports: Mapping[str, str] = field(default_factory=dict[str, str])
    stars: tuple[str, ...] = ()
    values: Mapping[str, Value] = field(default_factory=dict[str, Value])
    functions: Mapping[str, FunctionFacts] = field(default_factory=dict[str, FunctionFacts])
    classes: Mapping[str, ClassFacts] = field(default_factory=dict[str, ClassFacts])
    tasks: tuple[RawTask, ...] = ()
    enqueues: tuple[RawEnqueue, ...] = ()
    beat: tuple[RawBeat, ...] = ()
    group_uses: tuple[RawGroupUse, ...] = ()
    branches: Mapping[str, tuple[RawBranch, ...]] = field(default_factory=dict[str, tuple[RawBranch, ...]])
    routes: tuple[RawRoute, ...] = ()
    routers: tuple[RawRouter, ...] = ()
    settings: tuple[SettingDef, ...] = ()
    registered: tuple[str, ...] = ()
    message_types: tuple[str, ...] = ()
    messages: tuple[RawMessage, ...] = ()
    unread: Unread | None = None
