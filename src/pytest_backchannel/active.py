"""What is active or installed now: the state of every module, in one registry.

A module that has to know what rules now (a clock, a log, a replaced function of another project) keeps it in one of
these, under a name: so all of it can be listed, and a test can show that a test leaves nothing of it behind.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sized
from typing import Any, Generic, NamedTuple, TypeVar, cast

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
        make: makes ours of what stands there before; called again where something else stands there.
    """

    owner: Any
    name: str
    make: Callable[[Any], Any]


class _Place:
    """One place: what stood there, and ours, made once for it."""

    __slots__ = ("before", "earlier", "name", "ours", "owner", "values", "_make")

    def __init__(self, owner: Any, name: str, make: Callable[[Any], Any]) -> None:
        self.owner = owner
        self.name = name
        # A view of what the owner has itself: it is made once, since a look costs a fifth then.
        self.values: Any = vars(owner)
        self._make = make
        self.before: Any = None
        self.ours: Any = None
        # The last one that stood there in another's place: (ours, what it was made of).
        self.earlier: tuple[Any, Any] = (None, None)

    def put(self) -> bool:
        """Put ours in place; returns whether it is another one than before."""
        current = self.values[self.name]
        if self.ours is not None:
            if current is self.ours:
                return False  # it still is where somebody had patched the place, and has undone it since
            if current is self.before:
                setattr(self.owner, self.name, self.ours)
                return False
        found, self.earlier = self.earlier, (self.ours, self.before)
        if current is found[0] and current is not None:
            self.ours, self.before = found  # the same, of one that we have been around meanwhile
            return True
        self.before, self.ours = current, self._make(current)
        setattr(self.owner, self.name, self.ours)
        return True

    def take(self) -> None:
        """Put back what stood there; what somebody else has put there meanwhile is kept."""
        current = self.values.get(self.name)
        if current is self.ours:
            setattr(self.owner, self.name, self.before)
        elif current is self.earlier[0] and current is not None:
            setattr(self.owner, self.name, self.earlier[1])


class Replaced:
    """Functions of ours in the place of another project's, while somebody needs them.

    Ours are made of what stands there, and kept for the next time that the same does. Where somebody has wrapped ours
    meanwhile and leaves theirs there, new ones are put around theirs: of two that are called, only the outer one rules.

    Args:
        name: what they are, for :func:`active`.
        replacements: what is replaced; called when it is first needed, since it imports, and again where what it has
            named has no longer such an attribute.
        of_the_run: whether they may outlive a test.

    Attributes:
        users: how many need them now; ours only pass through to the original where it is 0.

    Example:
        >>> def _watched(before):
        ...     def connect(self):
        ...         if _connecting.rules(connect):
        ...             note(self)
        ...         return before(self)
        ...     return connect
        >>> _connecting = Replaced("connections", lambda: [Replacement(Connection, "connect", _watched)])
    """

    __slots__ = ("_groups", "_ours", "_places", "_replacements", "users")

    def __init__(
        self, name: str, replacements: Callable[[], Iterable[Replacement]], *, of_the_run: bool = False
    ) -> None:
        self.users = 0
        self._replacements = replacements
        self._places: tuple[_Place, ...] = ()
        # Those that rule, by their identity: a property has no other.
        self._ours: dict[int, Any] = {}
        self._groups: list[Together] = []
        _registry[name] = _Entry(lambda: self.users > 0, of_the_run)

    @property
    def originals(self) -> dict[str, Any]:
        """What stood there before, by the name of the attribute."""
        return {place.name: place.before for place in self._places}

    def rules(self, ours: Any) -> bool:
        """Whether this one of ours is to do what it is for now; otherwise it only passes through."""
        return self.users > 0 and id(ours) in self._ours

    def install(self) -> None:
        """Put ours in place; each call needs its :meth:`remove`."""
        if not self.users:
            self._put()
        self.users += 1

    def remove(self) -> None:
        """Undo one :meth:`install`; the last one restores the originals.

        Where somebody has patched the same place meanwhile, theirs is kept, and ours below it only passes through.
        """
        self.users -= 1
        if not self.users:
            for place in self._places:
                place.take()

    def _put(self) -> None:
        # Kept, since some stand around every test of a project.
        if not self._places or any(place.name not in place.values for place in self._places):
            self._places = tuple(_Place(*replacement) for replacement in self._replacements())
        new = [place.put() for place in self._places]
        if any(new):
            self._ours = {id(place.ours): place.ours for place in self._places}
            for group in self._groups:
                group.forget()


class Together:
    """Several :class:`Replaced` that are put in place and taken out at once, around each test.

    It is the same as to install each and to remove each. Where all stands as it did the last time, it is done by lines
    of their own, which cost a third of a loop: they are most of what a test pays that uses nothing of it.

    Args:
        members: what is installed, in this order, and removed in the opposite one.
    """

    __slots__ = ("_known", "_members", "_put", "_take")

    def __init__(self, *members: Replaced) -> None:
        self._members = members
        # What puts and takes, by how many needed each member before; a few, and kept, since to make one costs more
        # than all that it saves in a test.
        self._known: dict[tuple[int, ...], tuple[Callable[[], bool], Callable[[], bool]]] = {}
        for member in members:
            member._groups.append(self)
        self.forget()

    def forget(self) -> None:
        """What is around what has changed."""
        self._known.clear()
        self._put: Callable[[], bool] = _no
        self._take: Callable[[], bool] = _no

    def install(self) -> None:
        """Put all in place; each call needs its :meth:`remove`."""
        if self._put():
            return
        before = tuple(member.users for member in self._members)
        self._put, self._take = self._known.get(before, (_no, _no))
        if not self._put():
            self._install_each()
            both = _exchange(self._members, put=True), _exchange(self._members, put=False)
            self._put, self._take = self._known[before] = both

    def remove(self) -> None:
        """Undo one :meth:`install`."""
        if not self._take():
            for member in reversed(self._members):
                member.remove()

    def _install_each(self) -> None:
        installed: list[Replaced] = []
        try:
            for member in self._members:
                member.install()
                installed.append(member)
        except BaseException:
            for member in reversed(installed):
                member.remove()
            raise


def _no() -> bool:
    return False


def _exchange(members: tuple[Replaced, ...], *, put: bool) -> Callable[[], bool]:
    """What puts ours in the places of what stands there, or back; False, and nothing, where anything else stands there.

    It is made while all are in place, and serves where as many need each member again. Where another one needs a member
    all the time, as a report does from the first test to the last, its places stay as they are.

    Args:
        members: whose places they are.
        put: whether ours are put there; otherwise they are taken away.
    """
    places = [place for member in members if member.users == 1 for place in member._places]
    known: dict[str, Any] = {}
    for at, place in enumerate(places):
        known |= {f"values{at}": place.values, f"owner{at}": place.owner}
        known |= {f"before{at}": place.before, f"ours{at}": place.ours}
    known |= {f"member{at}": member for at, member in enumerate(members)}
    here, there, fewer = ("before", "ours", 1) if put else ("ours", "before", 0)
    same = [f"member{at}.users == {member.users - fewer}" for at, member in enumerate(members)]
    same += [f"values{at}[{place.name!r}] is {here}{at}" for at, place in enumerate(places)]
    lines = ["def exchange():", " try:", f"  if not ({' and '.join(same)}): return False"]
    lines += [" except KeyError: return False"]  # the attribute is gone
    lines += [f" owner{at}.{place.name} = {there}{at}" for at, place in enumerate(places)]
    lines += [f" member{at}.users = {member.users - (1 - fewer)}" for at, member in enumerate(members)]
    text = "\n".join([*lines, " return True"])
    exec(compile(text, "<exchange of attributes>", "exec"), known)
    return cast("Callable[[], bool]", known["exchange"])
