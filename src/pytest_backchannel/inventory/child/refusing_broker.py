"""A broker and a result backend that answer nothing, in the place of whatever a Celery app is configured to use."""

from __future__ import annotations

from typing import Any

from celery.app.base import Celery
from celery.backends.base import BaseBackend
from kombu import Connection
from kombu.transport.base import Transport

from .refusals import refuse, refusing


class RefusingTransport(Transport):
    """kombu's transport, of which no connection comes."""

    default_port = 0
    driver_type = "refusing"
    driver_name = "refusing"
    # kombu tries again, with pauses, after an error that is listed here.
    connection_errors = ()
    channel_errors = ()
    recoverable_connection_errors = ()
    recoverable_channel_errors = ()

    def establish_connection(self) -> Any:
        """Refused."""
        raise refuse("a connection to the broker")


# --- private API: the methods with an underscore of celery.backends.base.Backend, Connection.get_transport_cls and
# --- Celery._get_backend, seen on celery 5.5–5.7 and kombu 5.5–5.7: those that a backend of one's own defines, and the
# --- one place each where the class is looked up, however it is configured and whenever that changes.


class RefusingBackend(BaseBackend):
    """No result is stored, and none is there."""

    _store_result = refusing("a write to the result backend")
    _forget = refusing("a write to the result backend")
    _get_task_meta_for = refusing("a read from the result backend")
    _save_group = refusing("a write to the result backend")
    _restore_group = refusing("a read from the result backend")
    _delete_group = refusing("a write to the result backend")
    cleanup = refusing("a write to the result backend")


def refuse_broker() -> None:
    """Refuse the broker and the result backend of every app, for the life of this process."""
    Connection.get_transport_cls = lambda self: RefusingTransport
    Celery._get_backend = lambda self: RefusingBackend(app=self)


# --- end of private API
