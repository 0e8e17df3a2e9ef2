"""Database drivers that connect in C, past Python's sockets: refused as soon as somebody imports them.

Django never comes here, since its engines are replaced; a settings module or an application may use a driver itself.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import Any

from .refusals import refuse

# What makes a connection, by the module that has it.
DRIVERS = {
    "MySQLdb": ("connect", "Connect", "Connection"),
    "psycopg": ("connect", "Connection.connect", "AsyncConnection.connect"),
    "psycopg2": ("connect",),
    "pymssql": ("connect",),
    "pyodbc": ("connect",),
}


class RefusingDrivers(MetaPathFinder):
    """Finds these modules as the other finders do, and takes their way out when they are loaded."""

    def find_spec(self, name: str, path: Sequence[str] | None, target: ModuleType | None = None) -> ModuleSpec | None:
        """The spec of a driver; None for all other modules."""
        if name not in DRIVERS:
            return None
        others = [finder for finder in sys.meta_path if finder is not self]
        spec = next((spec for finder in others if (spec := finder.find_spec(name, path, target)) is not None), None)
        if spec is not None and spec.loader is not None:
            spec.loader = _Refusing(spec.loader)
        return spec


class _Refusing(Loader):
    """A loader that changes the module when it is there; for all else it is the module's own."""

    def __init__(self, own: Loader) -> None:
        self._own = own

    def __getattr__(self, name: str) -> Any:
        return getattr(self._own, name)

    def create_module(self, spec: ModuleSpec) -> ModuleType | None:
        """As its own loader does."""
        return self._own.create_module(spec)

    def exec_module(self, module: ModuleType) -> None:
        """As its own loader does, and then refuse."""
        self._own.exec_module(module)

        def connect(*args: Any, **kwargs: Any) -> Any:
            raise refuse(f"a connection by {module.__name__}")

        for path in DRIVERS[module.__name__]:
            *owners, name = path.split(".")
            owner: Any = getattr(module, owners[0], None) if owners else module
            if owner is not None:
                setattr(owner, name, staticmethod(connect) if owners else connect)
