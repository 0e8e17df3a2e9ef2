"""Mails: they go to nobody in a shadow, whatever the backend of the test is."""

from __future__ import annotations

from typing import Any

from .effect_log import note


def install() -> None:
    """Note the mails of this process from now on, and send none."""
    from django.core.mail.backends import base, locmem

    locmem.EmailBackend.send_messages = _send_messages
    for backend in _subclasses(base.BaseEmailBackend):
        backend.send_messages = _send_messages


def _subclasses(owner: type) -> list[Any]:
    own: list[type] = owner.__subclasses__()
    return [*own, *(below for each in own for below in _subclasses(each))]


def _send_messages(backend: Any, messages: Any) -> int:
    sent = list(messages)
    for message in sent:
        message.message()  # as every backend does: a bad header fails
        note("mail", f"mail {message.subject!r} to {', '.join(map(str, message.to))}", outward=True)
    return len(sent)
