"""What of eager mode outlives the test: an app's pool of producers, and how to make its result backend.

In eager mode, Celery takes a producer from the pool for each call, and asks it for nothing but the name of a
serialiser. Making the connection that belongs to it reads forty settings.
"""

from __future__ import annotations

import os
from collections.abc import Callable
from typing import Any

from celery import Celery
from kombu import Connection, pools

from .backends import Pattern
from .settings_print import SettingsPrint, Unknown
from .snapshot import Methods, Snapshot

# --- private API: celery.Celery.connection_for_write, celery.app.amqp.AMQP.producer_pool, celery.app.utils.Settings and
# --- kombu.pools, seen on celery 5.5–5.7 and kombu 5.5–5.7: what makes an app's pool of producers, and what is in it.

# What an app makes its pools with; a project that has its own of one of these gets all made anew.
_METHODS = ("connection_for_write", "_connection", "connection", "pool", "producer_pool", "either", "connection_cls")
_CELERYS = {name: getattr(Celery, name, None) for name in _METHODS}
# They win over the settings.
_VARIABLES = (
    "CELERY_BROKER_READ_URL",
    "CELERY_BROKER_WRITE_URL",
    "CELERY_BROKER_URL",
    "CELERY_RESULT_BACKEND",
)
_NOTHING: frozenset[str] = frozenset()


class EagerPools:
    """An app's pools of connections and producers, which were just made.

    Args:
        app: the app.
        amqp: its AMQP, which has the pool of producers.

    Raises:
        Unknown: they are of a kind that can't be told to be unchanged.
    """

    def __init__(self, app: Any, amqp: Any) -> None:
        self.producers = amqp._producer_pool
        self.connections = app._pool
        self._from = _made_from(app, amqp)
        if self._from is None or self.connections is None or not self.producers.limit:
            raise Unknown("a pool of the project's own")
        self._settings = SettingsPrint(app.conf, _NOTHING)
        self.producers.acquire(block=True).release()  # the first use makes more of it
        self._limit = pools._limit[0]
        self._groups = [
            (group, key, pool)
            for group in (pools.producers, pools.connections)
            for key, pool in dict.items(group)
            if pool is self.producers or pool is self.connections
        ]
        self._used = [
            vars(one)
            for pool in (self.producers, self.connections)
            for one in pool._resource.queue
            if not callable(one)
        ]
        self._take_out_uses()
        self._inside = Snapshot([self.producers, self.connections])
        self._methods = Methods(self._inside.kinds)

    def _take_out_uses(self) -> None:
        """Take out the function that each use leaves in what it has used."""
        for own in self._used:
            own.pop("release", None)

    def are_unused(self) -> bool:
        """Whether nothing is taken out, and no connection was made or prepared."""
        self._take_out_uses()
        # Each use copies the producer's exchange.
        self._inside.put_back(own for own in self._used if "exchange" in own)
        return self._inside.is_same()

    def install(self, app: Any, amqp: Any) -> bool:
        """Let them be the app's, where it would make the same ones now; whether it would."""
        if (
            app._pool is not None
            or self._from is None
            or _made_from(app, amqp) != self._from
            or any(dict.get(group, key, pool) is not pool for group, key, pool in self._groups)
            or not self._settings.is_same(app.conf)
            or not self.are_unused()
            or not self._methods.are_same()
        ):
            return False
        pools._limit[0] = self._limit
        for group, key, pool in self._groups:
            dict.__setitem__(group, key, pool)
        app._pool = self.connections
        amqp._producer_pool = self.producers
        return True


def _made_from(app: Any, amqp: Any) -> tuple[Any, ...] | None:
    """What else than the settings the pools are made from; None where it is not Celery's own."""
    own, kind = vars(app), type(app)
    if amqp.Connection is not Connection or any(name in own for name in _METHODS):
        return None
    if any(getattr(kind, name, None) is not celerys for name, celerys in _CELERYS.items()):
        return None
    return os.getpid(), *map(os.environ.get, _VARIABLES)


class EagerParts:
    """What an app keeps of eager mode.

    Attributes:
        pools: its pools; None where they are not kept.
    """

    def __init__(self) -> None:
        self.pools: EagerPools | None = None
        self._in_use = False
        self._pattern: Pattern | None = None
        self._variables: tuple[str | None, ...] = ()

    def producer_pool(self, app: Any, amqp: Any, make: Callable[[], Any]) -> Any:
        """The app's pool of producers: the kept one, or a new one, which is kept where that can be done.

        Args:
            app: the app.
            amqp: its AMQP, which has no pool yet.
            make: makes it, as Celery does.
        """
        self._in_use = True
        if self.pools is not None and self.pools.install(app, amqp):
            return self.pools.producers
        self.close()
        pool = make()
        try:
            self.pools = EagerPools(app, amqp)
        except Exception:  # whoever uses the pool meets the error, at the same place as ever
            self.pools = None
        return pool

    def backend(self, app: Any, make: Callable[[], Any]) -> Any:
        """A new result backend; ``make`` makes one from the settings, as yet without a client."""
        variables = tuple(map(os.environ.get, _VARIABLES))
        found = self._pattern.again(app.conf) if self._pattern is not None and self._variables == variables else None
        if found is None:
            found = make()
            self._variables = variables
            try:
                self._pattern = Pattern(found, app.conf, _NOTHING, ("app",))
            except Unknown:
                self._pattern = None
        return found

    def keeps(self, pool: Any) -> bool:
        """Whether a pool stays as it is when the test ends."""
        return self.pools is not None and (pool is self.pools.producers or pool is self.pools.connections)

    def end_test(self) -> None:
        """Keep only what the test has left as it was."""
        if self._in_use and self.pools is not None and not self.pools.are_unused():
            self.pools = None
        self._in_use = False

    def close(self) -> None:
        """Throw the pools away."""
        kept, self.pools = self.pools, None
        if kept is not None:
            kept.producers.force_close_all()
            kept.connections.force_close_all()


# Not a registry of the module's: the parts know settings of their app, and would keep it alive.
_PLACE = "_backchannel_kept_eager"


def parts_of(app: Any) -> EagerParts:
    """What an app keeps of eager mode; nothing as yet where it is new."""
    found: EagerParts = vars(app).setdefault(_PLACE, EagerParts())
    return found


def known_parts(app: Any) -> EagerParts | None:
    """What an app keeps of eager mode; None where there is nothing."""
    found: EagerParts | None = vars(app).get(_PLACE)
    return found


# --- end of private API
