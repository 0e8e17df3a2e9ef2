"""Finding a group send, and saying what was there instead."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from ...errors import GroupSendNotFound
from .records import GroupSend, short

MAX_SHOWN = 5


def find_group_sends(sends: Sequence[GroupSend], group: str, message: Any, count: int | None) -> list[GroupSend]:
    """The group sends to ``group`` with ``message``.

    Args:
        sends: those of the test.
        group: the name of the group.
        message: what ``==`` the message, such as a dict, or an object of dirty-equals; None is any message.
        count: how many there must be, 0 or more; None is one or more.

    Raises:
        GroupSendNotFound: there is none, or another number.
    """
    __tracebackhide__ = True
    wanted = _as_carried(message)
    found = [send for send in sends if send.group == group and (message is None or wanted == send.message)]
    if (count is None and found) or len(found) == count:
        return found
    raise GroupSendNotFound(_explain(sends, found, group, message, wanted, count))


def _as_carried(wanted: Any) -> Any:
    """The expectation with lists for tuples, as the serialiser makes them; what compares in its own way stays."""
    if type(wanted) is dict:
        return {key: _as_carried(value) for key, value in wanted.items()}
    if type(wanted) in (list, tuple):
        return [_as_carried(value) for value in wanted]
    return wanted


def _explain(
    sends: Sequence[GroupSend], found: Sequence[GroupSend], group: str, message: Any, wanted: Any, count: int | None
) -> str:
    target = f"a group send to {group!r}" + ("" if message is None else f" of {message!r}")
    if found:
        number = f"{count or 'no'} group send{'' if count == 1 else 's'}"
        lines = [f"wanted {number} to {group!r}, found {len(found)}:"]
        return "\n".join(lines + _listed(found))
    if not sends:
        return f"wanted {target}; nothing was sent to any group"
    lines = [f"wanted {target}"]
    same_group = [send for send in sends if send.group == group]
    if message is None or not same_group:
        lines.append(f"nothing was sent to {group!r}; the group sends were:")
        return "\n".join(lines + _listed(sends))
    nearest = max(same_group, key=lambda send: _likeness(wanted, send.message))
    lines.append(f"the nearest of {len(same_group)} to this group{_at(nearest)}:")
    lines += _differences(wanted, nearest.message)
    others = [send for send in sends if send is not nearest]
    if others:
        lines += ["the others:", *_listed(others)]
    return "\n".join(lines)


def _listed(sends: Sequence[GroupSend]) -> list[str]:
    lines = [f"    to {send.group!r}: {short(send.message)}{_at(send)}" for send in sends[:MAX_SHOWN]]
    return lines + ([f"    … and {len(sends) - MAX_SHOWN} more"] if len(sends) > MAX_SHOWN else [])


def _at(send: GroupSend) -> str:
    return f"  [{send.where}]" if send.where else ""


def _likeness(wanted: Any, message: Mapping[str, Any]) -> int:
    if not isinstance(wanted, Mapping):
        return 0
    same = sum(key in message and value == message[key] for key, value in wanted.items())
    return 2 * same + (wanted.get("type") == message.get("type")) - len(set(wanted) ^ set(message))


def _differences(wanted: Any, message: Mapping[str, Any]) -> list[str]:
    """The message, a key a line, with those marked that differ from a wanted dict."""
    if not isinstance(wanted, Mapping):
        return [f"    {message!r}"]
    lines = []
    for key in dict.fromkeys([*message, *wanted]):
        if key not in message:
            lines.append(f"  - {key!r} is missing; wanted {wanted[key]!r}")
        elif key not in wanted:
            lines.append(f"  + {key!r}: {message[key]!r} was not wanted")
        elif wanted[key] == message[key]:
            lines.append(f"    {key!r}: {message[key]!r}")
        else:
            lines.append(f"  ! {key!r}: {message[key]!r}, wanted {wanted[key]!r}")
    return lines
