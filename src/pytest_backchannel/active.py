"""What is active or installed now: the state of every module, in one registry.

A module that has to know what rules now (a clock, a log, a replaced function of another project) keeps it in one of
these, under a name: so all of it can be listed, and a test can show that a test leaves nothing of it behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import Any, Generic, NamedTuple, TypeVar

T = TypeVar("T")
S_ = TypeVar("S_", bound=Sized)


class _Entry(NamedTuple):
    is_active: Callable[[], bool]
    of_the_run: bool


# By name, and the latest of a name counts: a module that is imported anew begins anew.
_registry: dict[str, _Entry] = {}


def active(*, of_the_run: bool = False) -> list[str]:
    """The names of what is active now, in alphabetical order; empty between two tests.

    Args:
        of_the_run: whether to name what may outlive a test, too.
    """
    return sorted(
        name for name, entry in _registry.items() if (of_the_run or not entry.of_the_run) and entry.is_active()
    )


def known() -> list[str]:
    """The names of all that can be active, of the modules imported so far."""
    return sorted(_registry)


class Slot(Generic[T]):
    """The one object of its kind that is active now.

    Args:
        name: what it is, for :func:`active`.
        of_the_run: whether it may outlive a test.

    Attributes:
        value: the object; None where there is none. Read at every call of a function that stands in for another, so
            it is a plain attribute.

    Example:
        >>> _clock = Slot[VirtualClock]("virtual clock")
        >>> _clock.value = VirtualClock()
    """

    __slots__ = ("value",)

    def __init__(self, name: str, *, of_the_run: bool = False) -> None:
        self.value: T | None = None
        _registry[name] = _Entry(lambda: self.value is not None, of_the_run)


def tracked(name: str, container: S_, *, of_the_run: bool = False) -> S_:
    """A collection that is empty while nothing of its kind is active.

    Args:
        name: what is in it, for :func:`active`.
        container: the collection; one that is kept and changed in place.
        of_the_run: whether it may be filled between two tests.

    Returns:
        The collection.
    """
    _registry[name] = _Entry(lambda: len(container) > 0, of_the_run)
    return container


class Replacement(NamedTuple):
    """One attribute of another project's class or module, and what stands there meanwhile.

    Attributes:
        owner: the class or module.
        name: the name of the attribute.
        ours: what replaces it.
    """

    owner: Any
    name: str
    ours: Any


class Replaced:
    """Functions of ours in the place of another project's, while somebody needs them.

    Args:
        name: what they are, for :func:`active`.
        replacements: what is replaced; called when it is first needed, since it imports, and again where what it has
            named has no longer such an attribute.
        of_the_run: whether they may outlive a test.

    Attributes:
        users: how many need them now; ours only pass through to the original where it is 0.
        originals: what stood there before, by the name of the attribute.
    """

    __slots__ = ("_places", "_replacements", "originals", "users")

    def __init__(
        self, name: str, replacements: Callable[[], Iterable[Replacement]], *, of_the_run: bool = False
    ) -> None:
        self.users = 0
        self.originals: dict[str, Any] = {}
        self._replacements = replacements
        self._places: tuple[Replacement, ...] = ()
        _registry[name] = _Entry(lambda: self.users > 0, of_the_run)

    def install(self) -> None:
        """Put ours in place; each call needs its :meth:`remove`."""
        if not self.users:
            # Kept, since some stand around every test of a project.
            if not self._places or any(name not in vars(owner) for owner, name, _ in self._places):
                self._places = tuple(self._replacements())
            for owner, name, ours in self._places:
                current = vars(owner)[name]
                # Ours stands there still where somebody had patched the place, and has undone it since.
                if current is not ours:
                    self.originals[name] = current
                    setattr(owner, name, ours)
        self.users += 1

    def remove(self) -> None:
        """Undo one :meth:`install`; the last one restores the originals.

        Where somebody has patched the same place meanwhile, theirs is kept, and ours below it only passes through.
        """
        self.users -= 1
        if not self.users:
            for owner, name, ours in self._places:
                if vars(owner)[name] is ours:
                    setattr(owner, name, self.originals[name])
