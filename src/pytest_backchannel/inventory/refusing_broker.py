"""A broker and a result backend that answer nothing, in the place of whatever a Celery app is configured to use."""

from __future__ import annotations

from typing import Any

from celery.app.base import Celery
from celery.backends.base import DisabledBackend
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


class RefusingBackend(DisabledBackend):
    """No result is stored, and none is there."""

    store_result = refusing("a write to the result backend")
    get_state = get_status = get_result = get_traceback = refusing("a read from the result backend")
    get_task_meta_for = wait_for = get_many = refusing("a read from the result backend")


def refuse_broker() -> None:
    """Refuse the broker and the result backend of every app, for the life of this process."""
    # --- private API: Connection.get_transport_cls and Celery._get_backend, seen on kombu 5.5–5.7 and celery 5.5–5.7:
    # --- the one place each where the class is looked up, however it is configured and whenever that changes.
    Connection.get_transport_cls = lambda self: RefusingTransport
    Celery._get_backend = lambda self: RefusingBackend(app=self)
    # --- end of private API
