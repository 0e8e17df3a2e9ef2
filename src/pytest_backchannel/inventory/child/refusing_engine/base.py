"""Django's engine for "no database", whose every use is refused and kept; Django wants this name of the module.

The real engine is not even imported: its driver connects in C, where nothing could stop it, and a test environment
may not have it.
"""

from __future__ import annotations

from typing import Any

from django.db.backends.dummy import base as dummy
from django.db.backends.dummy.features import DummyDatabaseFeatures

from ..refusals import refuse, refusing

# --- private API: django.db.backends.dummy and BaseDatabaseWrapper, seen on Django 5.2–6.1: a backend of one's own is
# --- made of these methods; those with an underscore are the seams between them.

ENGINE = __name__.rpartition(".")[0]
"""For the setting ``DATABASES``."""

VENDOR_OPTION = "backchannel_vendor"
"""The key of ``DATABASES[alias]`` with the vendor that the real engine has."""


class DatabaseOperations(dummy.DatabaseOperations):
    """Names are quoted, so that the text of a query can be had."""

    def quote_name(self, name: str) -> str:
        """The name, as most databases quote it."""
        return f'"{name}"'


class DatabaseIntrospection(dummy.DatabaseIntrospection):
    """There is nothing to look at."""

    get_table_list = refusing("a look at the tables of a database")
    get_table_description = refusing("a look at the tables of a database")
    get_relations = refusing("a look at the tables of a database")


class DatabaseWrapper(dummy.DatabaseWrapper):
    """A connection that is never made."""

    ops_class = DatabaseOperations
    introspection_class = DatabaseIntrospection
    features_class = DummyDatabaseFeatures

    def __init__(self, settings_dict: dict[str, Any], alias: str = "default") -> None:
        super().__init__(settings_dict, alias)
        self.vendor = settings_dict.get(VENDOR_OPTION, "unknown")

    def ensure_connection(self) -> None:
        """Refused."""
        raise refuse(f"a connection to the database {self.alias!r}")

    def connect(self) -> None:
        """Refused."""
        raise refuse(f"a connection to the database {self.alias!r}")

    def cursor(self, *args: Any, **kwargs: Any) -> Any:
        """Refused."""
        raise refuse(f"a query of the database {self.alias!r}")

    def chunked_cursor(self) -> Any:
        """Refused."""
        raise refuse(f"a query of the database {self.alias!r}")

    _cursor = refusing("a query of a database")
    _commit = refusing("a transaction of a database")
    _savepoint_commit = refusing("a transaction of a database")
    _set_autocommit = refusing("a transaction of a database")

    def schema_editor(self, *args: Any, **kwargs: Any) -> Any:
        """Refused."""
        raise refuse(f"a change of the schema of the database {self.alias!r}")


# --- end of private API
