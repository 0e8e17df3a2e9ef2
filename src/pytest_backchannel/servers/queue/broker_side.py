"""What a real broker itself says of the messages of one test: how many are ready, and which nobody can see."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from typing import Any


class BrokerSide:
    """Asks the broker.

    Args:
        app: the Celery app.
        url: the broker's.
        options: ``broker_transport_options`` of the test, in place of the project's.
    """

    def __init__(self, app: Any, url: str, options: Mapping[str, Any] | None = None) -> None:
        self._app = app
        self._options = options
        self._has_acknowledgements = url.startswith(("amqp", "pyamqp"))

    def ready(self, queues: Iterable[str]) -> int:
        """How many messages wait in these queues for whoever consumes them."""
        count = 0
        with self._app.connection_for_read() as connection:
            for queue in queues:
                # A failed declaration closes the channel.
                with contextlib.suppress(Exception), connection.channel() as channel:
                    count += channel.queue_declare(queue, passive=True).message_count
        return count

    def keeps(self, task_id: str) -> bool:
        """Whether Redis keeps a message for a worker that is gone, until the visibility timeout."""
        if self._has_acknowledgements:
            return False
        with self._app.connection_for_read() as connection:
            channel = connection.default_channel
            kept = channel.client.hvals(channel.unacked_key)
        return any(task_id.encode() in entry for entry in kept)

    def restore_visible(self) -> None:
        """Put the messages back into their queues whose visibility timeout has passed.

        Every worker does it now and then (kombu/transport/redis.py, 5.5–5.7: about every 100 s).
        """
        options = dict(self._options or self._app.conf.broker_transport_options or {})
        with self._app.connection_for_read(transport_options=options) as connection:
            connection.default_channel.qos.restore_visible(interval=1)
