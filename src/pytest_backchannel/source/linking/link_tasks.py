"""Which of the functions and classes are Celery's tasks, and under which names."""

from __future__ import annotations

from collections.abc import Iterator

from ..reading.file_facts import ClassFacts, FileFacts, FunctionFacts, RawTask, Value
from ..task_facts import TaskDef
from .symbols import Symbols

_DECORATORS = frozenset(
    {"celery.shared_task", "celery.app.shared_task", "celery.task", "celery.task.task", "celery.decorators.task"}
    | {"celery.current_app.task", "celery.task.periodic_task", "celery.decorators.periodic_task"}
)
_APPS = frozenset({"celery.Celery", "celery.app.base.Celery", "celery.app.Celery"})


class Tasks:
    """The tasks of a tree.

    Attributes:
        by_name: by their Celery names.
        by_dotted: by where they are, aliases too.
        duplicates: those whose name was taken.
    """

    def __init__(self, symbols: Symbols) -> None:
        self.symbols = symbols
        self.by_name: dict[str, TaskDef] = {}
        self.by_dotted: dict[str, TaskDef] = {}
        self.duplicates: list[TaskDef] = []
        self._registered = {symbols.follow(dotted) for facts in symbols.all_facts() for dotted in facts.registered}
        for facts in sorted(symbols.all_facts(), key=lambda one: one.path):
            for task, raw_alias in (*self._functions(facts), *((one, "") for one in self._classes(facts))):
                self._add(task, f"{facts.module}.{raw_alias}" if raw_alias else "")
        self._add_instances()

    def of(self, dotted: str | None) -> TaskDef | None:
        """The task that a dotted name leads to, through imports; an instance of its class too."""
        if dotted is None:
            return None
        plain = dotted.removesuffix("()")
        if "()" in plain:
            return None
        return self.by_dotted.get(self.symbols.follow(plain))

    def _add(self, task: TaskDef, alias: str) -> None:
        known = self.by_name.get(task.name)
        if known is None:
            self.by_name[task.name] = task
        else:
            self.duplicates.append(task)
        self.by_dotted.setdefault(task.dotted, task)
        if alias:
            self.by_dotted[alias] = task

    def _add_instances(self) -> None:
        """``send = app.register_task(Send())`` and ``send = Send()``."""
        for facts in self.symbols.all_facts():
            for name, value in facts.values.items():
                made = value.call if value.first_argument is None else value.first_argument
                if made is None or (value.first_argument and not (value.call or "").endswith("register_task")):
                    continue
                task = self.by_dotted.get(self.symbols.follow(made.removesuffix("()")))
                if task is not None and task.kind == "class":
                    self.by_dotted[f"{facts.module}.{name}"] = task

    def _functions(self, facts: FileFacts) -> Iterator[tuple[TaskDef, str]]:
        done: set[str] = set()
        for raw in facts.tasks:
            if raw.qualname not in done and self._makes_tasks(raw.decorator):
                done.add(raw.qualname)
                yield self._function(facts, raw, facts.functions[raw.qualname]), raw.alias

    def _makes_tasks(self, decorator: str) -> bool:
        """Whether it is ``shared_task``, or the method ``task`` of an app."""
        followed = self.symbols.follow(decorator)
        if followed in _DECORATORS:
            return True
        app, _, method = decorator.rpartition(".")
        if method == "task" and app and self.is_app(app):
            return True
        thing = self.symbols.thing(followed)
        if isinstance(thing, FunctionFacts):  # a decorator of the project's own that returns shared_task(…)
            return any(
                self.symbols.follow(one.removesuffix("()")) in _DECORATORS
                or (one.endswith(".task") and self.is_app(one.removesuffix(".task")))
                for one in thing.returned_calls
            )
        return False

    def is_app(self, dotted: str) -> bool:
        """Whether a name is a Celery app: by what it is assigned, or, where that is not seen, by the name itself."""
        followed = self.symbols.follow(dotted)
        if followed in ("celery.current_app", "celery.current_app()"):
            return True
        thing = self.symbols.thing(followed)
        if isinstance(thing, Value) and thing.call is not None:
            made = self.symbols.follow(thing.call)
            ancestry = {self.symbols.follow(one) for one in self.symbols.ancestry(made)}
            maker = self.symbols.thing(made)
            by_function = isinstance(maker, FunctionFacts) and "celery" in made.rpartition(".")[2].lower()
            return bool(ancestry & _APPS) or by_function
        return thing is None and "celery" in followed.lower()

    def _function(self, facts: FileFacts, raw: RawTask, function: FunctionFacts) -> TaskDef:
        own = f"{facts.module}.{raw.qualname.rpartition('.')[2]}"
        given = self.symbols.constant(raw.name) if raw.name is not None else None
        options = {name: value for name, value in raw.options.items() if name not in ("name", "bind", "base")}
        parameters = function.parameters[1:] if raw.bound else function.parameters
        return TaskDef(
            key=f"task:{given or own}",
            name=given or own,
            name_known=raw.name is None or given is not None,
            dotted=f"{facts.module}.{raw.qualname}",
            place=function.place,
            kind="function",
            decorator=raw.decorator_source,
            parameters=parameters,
            bound=raw.bound,
            is_async=function.is_async,
            base=self.symbols.follow(raw.base) if raw.base else "",
            options=options,
            option_sources={name: raw.option_sources[name] for name in options},
            calls_retry=function.calls_retry,
            raises_retry=function.raises_retry,
        )

    def _classes(self, facts: FileFacts) -> Iterator[TaskDef]:
        for qualname, found in facts.classes.items():
            dotted = f"{facts.module}.{qualname}"
            ancestry = self.symbols.ancestry(dotted)
            if not self._is_task_class(ancestry) or found.options.get("abstract") is True:
                continue
            run = self._run(ancestry)
            if (run is not None and "run" in found.methods) or dotted in self._registered:
                yield self._class(facts, dotted, qualname, found, run)

    def _is_task_class(self, ancestry: list[str]) -> bool:
        """Whether a class comes from ``celery.Task``, another one of Celery's, or ``app.Task``."""
        for one in ancestry[1:]:
            root, _, name = one.rpartition(".")
            if name.endswith("Task") and root.partition(".")[0] == "celery":
                return True
            if name == "Task" and root and self.is_app(root):
                return True
        return False

    def _run(self, ancestry: list[str]) -> FunctionFacts | None:
        for one in ancestry:
            thing = self.symbols.thing(f"{one}.run")
            if isinstance(thing, FunctionFacts):
                return thing
        return None

    def _class(
        self, facts: FileFacts, dotted: str, qualname: str, found: ClassFacts, run: FunctionFacts | None
    ) -> TaskDef:
        own = f"{facts.module}.{qualname.rpartition('.')[2]}"
        given = found.options.get("name")
        name = given if isinstance(given, str) and given else own
        options = {one: value for one, value in found.options.items() if one not in ("name", "abstract")}
        return TaskDef(
            key=f"task:{name}",
            name=name,
            name_known=isinstance(given, str) or "name" not in found.options,
            dotted=dotted,
            place=found.place,
            kind="class",
            parameters=run.parameters[1:] if run is not None else (),
            bound=True,
            is_async=run is not None and run.is_async,
            base=self.symbols.follow(found.bases[0]) if found.bases else "",
            options=options,
            option_sources={one: found.option_sources[one] for one in options},
            calls_retry=run.calls_retry if run is not None else (),
            raises_retry=run.raises_retry if run is not None else (),
            registered=dotted in self._registered,
        )


def numbered(keys: list[str]) -> list[str]:
    """Each key with the number that it has among its equals: ``…#1``, ``…#2``."""
    seen: dict[str, int] = {}
    found: list[str] = []
    for key in keys:
        seen[key] = seen.get(key, 0) + 1
        found.append(f"{key}#{seen[key]}")
    return found
