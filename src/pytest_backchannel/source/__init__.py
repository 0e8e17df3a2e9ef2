"""What a project's code says without being run: tasks and who enqueues them, consumers, groups, routes, settings.

:func:`read_tree` reads a folder with the standard ``ast``, and gives a :class:`SourceIndex`; nothing of the project is
imported. The report and the checks read the same index. It claims only what the code says literally: what is computed
is kept as it is written, and marked as not known.

It cannot see a task that comes as an argument, out of a dictionary, or by ``getattr``; a group's name that an object
gives (``room.group_name``); a transaction that a caller or ``ATOMIC_REQUESTS`` opens; a message that is handed through
more than one function; a class or a route that is made at run time; and what installed packages say. A name is
followed through imports, aliases, re-exports and the classes of the tree, and a variable only where one assignment
alone can have given it its value.
"""

from typing import TYPE_CHECKING, Any

from .channel_facts import (
    ANYTHING,
    Branch,
    ConsumerDef,
    ConsumerMethod,
    Dispatch,
    GroupUse,
    Handler,
    WebSocketRoute,
    handler_name,
)
from .index import SettingDef, SourceIndex
from .places import Place, Surroundings, Unread
from .task_facts import Arguments, BeatEntry, EnqueueSite, Parameter, TaskDef

if TYPE_CHECKING:
    from .whole_tree import read_tree

__all__ = [
    "ANYTHING",
    "Arguments",
    "BeatEntry",
    "Branch",
    "ConsumerDef",
    "ConsumerMethod",
    "Dispatch",
    "EnqueueSite",
    "GroupUse",
    "Handler",
    "Parameter",
    "Place",
    "SettingDef",
    "SourceIndex",
    "Surroundings",
    "TaskDef",
    "Unread",
    "WebSocketRoute",
    "handler_name",
    "read_tree",
]


def __getattr__(name: str) -> Any:
    # A report is given the index by another process: what reads it costs more than all else that is loaded for it.
    if name == "read_tree":
        from .whole_tree import read_tree

        return read_tree
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
