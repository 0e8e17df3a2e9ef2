"""Tasks that are enqueued, messages to groups, and mails: what is really sent, inside a transaction of the code's."""

from __future__ import annotations

import sys
import warnings
from types import FrameType
from typing import Any

from ....active import Replaced, Replacement
from ....database.in_transaction.enqueues import within_told
from ....database.in_transaction.heard import hears
from ....database.sharing import in_code_transaction
from ....events import Location, line_of
from ...report.seen.around import around
from .entered_blocks import block_of_the_code
from .sends_inside import SENT, found

# Backends that keep a mail in a row, which is taken back with all others.
_IN_ROWS = ("mailer.", "django_mailer.", "post_office.", "django_yubin.")


def install() -> None:
    """Watch from now on; Django is set up."""
    hears.value = _hear
    if not _keeps_mails_in_rows():
        _mails.install()


def remove() -> None:
    """Watch no more."""
    hears.value = None
    if _mails.users:
        _mails.remove()


def _hear(slug: str, what: str, where: Location | None, task: Any = None) -> None:
    noted = found.value
    if noted is None or (where is not None and noted.is_test(where.path)):
        return
    block = block_of_the_code()
    if block:
        # Of a message to a group without its values, which differ from test to test.
        noted.add(slug, what.partition("(")[0] if slug == SENT else what, where, block, task=task)


def _mail(before: Any, *args: Any, **kwargs: Any) -> Any:
    __tracebackhide__ = True
    noted = found.value
    if noted is not None and in_code_transaction() and not within_told():
        frame: FrameType | None = sys._getframe(1)
        where = line_of(frame)
        block = block_of_the_code()
        if block and where is not None and not noted.is_test(where.path) and not _is_of_a_log(frame):
            noted.add(SENT, "mail", where, block)
    return before(*args, **kwargs)


def _is_of_a_log(frame: FrameType | None) -> bool:
    """Whether an error that is logged is mailed to the admins."""
    while frame is not None:
        if frame.f_globals.get("__name__") == "django.utils.log":
            return True
        frame = frame.f_back
    return False


# --- private API: django.test.utils._TestState, Django 5.2–6.1: the backends that the settings name, which the tests
# --- replace by one in memory. Where it is not there, mails are watched.


def _keeps_mails_in_rows() -> bool:
    from django.test import utils

    saved = getattr(getattr(utils, "_TestState", None), "saved_data", None)
    backends = _backends(saved)
    return bool(backends) and all(str(backend).startswith(_IN_ROWS) for backend in backends)


def _backends(saved: Any) -> list[Any]:
    """Those of ``MAILERS``, which Django has from 6.1 on, and refuses to be asked beside for ``EMAIL_BACKEND``."""
    from django.conf import settings

    mailers = getattr(saved, "mailers", None) or getattr(settings, "MAILERS", None)
    if mailers:
        return [mailer.get("BACKEND") for mailer in mailers.values()]
    if saved is not None:
        return [getattr(saved, "email_backend", None)]
    if not settings.is_overridden("EMAIL_BACKEND"):
        return []
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # from Django 6.1 on, whoever asks for it is told to ask no more
        return [settings.EMAIL_BACKEND]


# --- end of private API


def _replacements() -> list[Replacement]:
    from django.core.mail.backends.locmem import EmailBackend
    from django.core.mail.message import EmailMessage

    # send_mass_mail() gives its messages to the backend itself.
    return [Replacement(EmailMessage, "send", around(_mail)), Replacement(EmailBackend, "send_messages", around(_mail))]


_mails = Replaced("mails inside a transaction", _replacements, of_the_run=True)
