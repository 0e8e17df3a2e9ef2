"""A private kombu transport that keeps what Celery publishes, and an app that uses it."""

from __future__ import annotations

from celery import Celery
from kombu.transport import virtual

from pytest_backchannel.tasks.expect.messages import EnqueuedTask, decode

published: list[tuple[str, dict]] = []


class Channel(virtual.Channel):
    def _new_queue(self, queue, **kwargs):
        pass

    def _has_queue(self, queue, **kwargs):
        return True

    def _size(self, queue):
        return 0

    def _put(self, queue, message, **kwargs):
        published.append((queue, message))


class Transport(virtual.Transport):
    Channel = Channel
    driver_type = driver_name = "recording"

    def driver_version(self):
        return "1"


def recording_app(name: str) -> Celery:
    """An app whose messages go nowhere but into ``published``, which is emptied."""
    published.clear()
    app = Celery(name, set_as_current=False)
    app.conf.update(broker_url="memory://", broker_transport=Transport, result_backend="cache+memory://")
    return app


def sent(app: Celery) -> list[EnqueuedTask]:
    """What was published, in order."""
    return [decode(message, queue=queue, app=app, event=index) for index, (queue, message) in enumerate(published)]
