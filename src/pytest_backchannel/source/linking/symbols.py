"""Follows dotted names through the imports, aliases and classes of the whole tree."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import TypeAlias

from ..channel_facts import ANYTHING
from ..files import PythonFile
from ..reading.file_facts import ClassFacts, FileFacts, FunctionFacts, Value
from ..reading.read_file import read_file
from ..reading.templates import Ref, Template

DEEPEST = 20
_DEEPEST_PART = 8
"""A name that is put together of itself would double with each step."""
_NOT_OURS = frozenset({"celery", "channels", "django", "kombu", "asgiref"})
Thing: TypeAlias = FunctionFacts | ClassFacts | Value


class Symbols:
    """What the names of a tree refer to.

    Args:
        files: every file of the tree.
        facts: of those that were read; the others are read when a name leads there.
    """

    def __init__(self, files: list[PythonFile], facts: Mapping[str, FileFacts]) -> None:
        self._files = {file.module: file for file in files}
        self._facts: dict[str, FileFacts | None] = dict(facts)
        self._by_end: dict[str, list[str]] = {}
        for module in self._files:
            self._by_end.setdefault(module.rpartition(".")[2], []).append(module)
        self._followed: dict[str, str] = {}

    def all_facts(self) -> list[FileFacts]:
        """Of every file that was read, those on demand too."""
        return [facts for facts in self._facts.values() if facts is not None]

    def facts(self, module: str) -> FileFacts | None:
        """Of one module, read now if it was not."""
        if module not in self._facts:
            file = self._files.get(module)
            self._facts[module] = (
                read_file(file.path, relative=file.relative, module=module, worth=None) if file is not None else None
            )
        return self._facts[module]

    def follow(self, dotted: str) -> str:
        """The dotted name of where something is defined: through imports, re-exports and aliases.

        What is not of the tree keeps the name under which it is imported: ``celery.shared_task``.
        """
        if dotted not in self._followed:
            self._followed[dotted] = dotted  # a circle of imports ends here
            self._followed[dotted] = self._follow(dotted, 0)
        return self._followed[dotted]

    def _follow(self, dotted: str, depth: int) -> str:
        split = self.split(dotted)
        if split is None or depth > DEEPEST:
            return dotted
        module, rest = split
        facts = self.facts(module)
        if facts is None or not rest:
            return module if not rest else dotted
        known = self._within(facts, rest, depth)
        return known if known is not None else f"{module}.{'.'.join(rest)}"

    def _within(self, facts: FileFacts, rest: list[str], depth: int) -> str | None:
        name, after = rest[0], rest[1:]
        qualname = ".".join(rest)
        if qualname in facts.functions or qualname in facts.classes:
            return f"{facts.module}.{qualname}"
        if name in facts.imports and name not in facts.functions and name not in facts.classes:
            target = ".".join([facts.imports[name], *after])
            own = f"{facts.module}.{qualname}"
            return self._follow(target, depth + 1) if target != own else own
        value = facts.values.get(name)
        if value is not None and value.dotted is not None and name not in facts.functions:
            return self._follow(".".join([value.dotted, *after]), depth + 1)
        if name in facts.classes and after:
            return self._in_class(f"{facts.module}.{name}", after, depth)
        if name not in facts.functions and name not in facts.classes and value is None:
            for star in facts.stars:
                found = self._follow(".".join([star, *rest]), depth + 1)
                if self.thing(found) is not None:
                    return found
        return None

    def _in_class(self, owner: str, rest: list[str], depth: int) -> str | None:
        for base in self.ancestry(owner):
            split = self.split(base)
            facts = self.facts(split[0]) if split is not None else None
            if facts is None or split is None:
                continue
            qualname = ".".join([*split[1], *rest])
            if qualname in facts.functions or qualname in facts.classes:
                return f"{facts.module}.{qualname}"
            if qualname in facts.values:
                value = facts.values[qualname]
                return self._follow(value.dotted, depth + 1) if value.dotted else f"{facts.module}.{qualname}"
        return None

    def thing(self, dotted: str) -> Thing | None:
        """The function, class or value of a name that was followed; None for what is not of the tree."""
        split = self.split(dotted)
        facts = self.facts(split[0]) if split is not None and split[1] else None
        if facts is None or split is None:
            return None
        qualname = ".".join(split[1])
        return facts.functions.get(qualname) or facts.classes.get(qualname) or facts.values.get(qualname)

    def is_ours(self, dotted: str) -> bool:
        """Whether a name belongs to a module of the tree."""
        return self.split(dotted) is not None

    def ancestry(self, class_name: str) -> list[str]:
        """A class and those it derives from, nearest first, each by the name where it is defined."""
        found: list[str] = []
        waiting = [class_name]
        while waiting:
            name = waiting.pop(0)
            if name in found:
                continue
            found.append(name)
            thing = self.class_facts(name)
            if thing is not None:
                waiting = [*(self.follow(base) for base in thing.bases), *waiting]
        return found

    def class_facts(self, dotted: str) -> ClassFacts | None:
        """The class of this name, where it is defined."""
        split = self.split(dotted)
        facts = self.facts(split[0]) if split is not None else None
        return facts.classes.get(".".join(split[1])) if facts is not None and split is not None else None

    def split(self, dotted: str) -> tuple[str, list[str]] | None:
        """The module of the tree, and what comes after it."""
        parts = dotted.split(".")
        for end in range(len(parts), 0, -1):
            module = self._module(".".join(parts[:end]))
            if module is not None:
                return module, parts[end:]
        return None

    def _module(self, name: str) -> str | None:
        """A module by its name, or by the end of it: the project may import from a folder that we do not know of."""
        if name in self._files:
            return name
        if "." not in name or name.partition(".")[0] in _NOT_OURS:
            return None
        ends = [one for one in self._by_end.get(name.rpartition(".")[2], ()) if one.endswith(f".{name}")]
        return ends[0] if len(ends) == 1 else None

    def pattern(self, template: Template | None) -> str:
        """A string with ``{}`` for what only a run can know."""
        parts = "".join(ANYTHING if part is None else part for part in self._parts(template or (None,), 0))
        while ANYTHING + ANYTHING in parts:
            parts = parts.replace(ANYTHING + ANYTHING, ANYTHING)
        return parts

    def constant(self, template: Template | None) -> str | None:
        """A string that is wholly known, or None."""
        parts = list(self._parts(template, 0)) if template is not None else [None]
        return None if None in parts else "".join(part for part in parts if part is not None)

    def _parts(self, template: Template, depth: int) -> Iterator[str | None]:
        for part in template:
            if not isinstance(part, Ref):
                yield part
                continue
            found = self._referred(part) if depth < _DEEPEST_PART else None
            yield from self._parts(found, depth + 1) if found is not None else (None,)

    def _referred(self, ref: Ref) -> Template | None:
        thing = self.thing(self.follow(ref.dotted))
        if isinstance(thing, FunctionFacts):
            is_property = any(one.rpartition(".")[2] in ("property", "cached_property") for one in thing.decorators)
            return thing.returned if ref.call or is_property else None
        if isinstance(thing, Value) and not ref.call:
            return thing.template
        return None
