"""Who connects: a real session and its cookie for a whole application, or the scope's own keys for one consumer."""

from __future__ import annotations

from collections.abc import Mapping
from http.cookies import CookieError, SimpleCookie
from importlib import import_module
from typing import Any
from unittest.mock import NonCallableMock

from ...errors import BackchannelError


def check_session(session: object) -> None:
    """Check what was given as a session.

    Raises:
        BackchannelError: neither a mapping of its data nor one of Django's session stores.
    """
    if (
        session is None
        or isinstance(session, Mapping)
        or (hasattr(session, "session_key") and hasattr(session, "items"))
    ):
        return
    raise BackchannelError(
        f"session={session!r}: give a dict of what the session holds, or a session store (such as client.session)"
    )


def is_signed_in(user: Any) -> bool:
    """Whether a user can have a session: not None, and not Django's ``AnonymousUser``."""
    return user is not None and bool(getattr(user, "is_authenticated", True))


async def session_cookies(user: Any, session: Any) -> dict[str, str]:
    """A stored session for the user, and the cookie that a browser would send for it.

    Args:
        user: signed in by Django's own test client, as ``client.force_login(user)`` does; None or anonymous for nobody.
        session: what else the session holds; a stored session store is used as it is.

    Returns:
        The cookies; empty where there is neither user nor session.

    Raises:
        BackchannelError: the user is not saved, or none that Django could read back.
    """
    from django.conf import settings
    from django.test import AsyncClient

    name: str = settings.SESSION_COOKIE_NAME
    if is_signed_in(user):
        await _check_user(user)
        client = AsyncClient()
        await client.aforce_login(user)
        cookies = {key: str(morsel.value) for key, morsel in client.cookies.items()}
        if session:
            store = await client.asession()
            await _fill(store, session)
            cookies[name] = str(store.session_key)
        return cookies
    if session is None:
        return {}
    store = session
    if isinstance(session, Mapping):
        store = import_module(settings.SESSION_ENGINE).SessionStore()
        await _fill(store, session)
    elif store.session_key is None:
        await store.asave()
    return {name: str(store.session_key)}


async def _check_user(user: Any) -> None:
    """Refuse a user whom the project's middleware could not read back from the database, as it does.

    Raises:
        BackchannelError: it is a mock, an object of another kind, or not saved.
    """
    from django.db.models import Model

    # A mock with a spec passes for an instance of it.
    if isinstance(user, NonCallableMock) or not isinstance(user, Model):
        what = "is a mock" if isinstance(user, NonCallableMock) else "is no instance of a model"
    elif user.pk is None or (user._state.adding and not await _is_stored(user)):
        what = "is not saved"
    else:
        return
    raise BackchannelError(
        f"user={user!r} {what}. Through the whole application a session holds the user's key, and the project's "
        "middleware reads the user from the database. Fix: give a saved user (and ask for db_async), or drive the "
        "consumer alone, which takes any object: websocket(ConsumerClass, user=…)"
    )


async def _is_stored(user: Any) -> bool:
    # A key that is made beforehand, as a UUID is, says nothing.
    return bool(await type(user)._base_manager.filter(pk=user.pk).aexists())


async def _fill(store: Any, session: Any) -> None:
    for key, value in session.items():
        await store.aset(key, value)
    await store.asave()


def consumer_scope(user: Any, session: Any) -> dict[str, Any]:
    """What the middleware around a consumer would put into its scope, without a database.

    Args:
        user: as given; None for Django's ``AnonymousUser``.
        session: as given; a mapping becomes a session store that is not saved, None an empty one.
    """
    from django.apps import apps
    from django.conf import settings

    if session is None or isinstance(session, Mapping):
        data, session = session or {}, import_module(settings.SESSION_ENGINE).SessionStore()
        # An empty cache: else the first look would load a session, which has no key, from the database.
        session._session_cache = dict(data)
    if user is None:
        if not apps.is_installed("django.contrib.auth"):
            return {"session": session}
        from django.contrib.auth.models import AnonymousUser

        user = AnonymousUser()
    return {"user": user, "session": session}


def set_cookies(headers: Any) -> dict[str, str]:
    """The cookies that an accepted handshake sets, as a browser keeps them; one with ``Max-Age=0`` is an empty value.

    Args:
        headers: the headers of ``websocket.accept``.
    """
    found: dict[str, str] = {}
    for name, value in headers or ():
        if name.lower() != b"set-cookie":
            continue
        jar: SimpleCookie = SimpleCookie()
        try:
            jar.load(value.decode("latin-1"))
        except CookieError:
            continue  # a browser drops it too
        for key, morsel in jar.items():
            found[key] = "" if morsel["max-age"] == "0" else morsel.value
    return found
