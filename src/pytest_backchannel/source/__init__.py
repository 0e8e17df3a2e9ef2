"""What a project's code says without being run: tasks and who enqueues them, consumers, groups, routes, settings.

:func:`read_tree` reads a folder with the standard ``ast``, and gives a :class:`SourceIndex`; nothing of the project is
imported. The report and the checks read the same index. It claims only what the code says literally: what is computed
is kept as it is written, and marked as not known.
"""

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
