"""What an app publishes to a real broker, seen on its way: in the test's process and in the worker's."""

from __future__ import annotations

import contextlib
from base64 import b64encode
from collections.abc import Callable, Generator
from typing import Any

from ..restoring import replaced

Raw = dict[str, Any]


# --- private API: kombu.messaging.Producer._publish, seen on kombu 5.5–5.7: the last place where a message is whole,
# --- serialised, and has its exchange and routing key. Celery's signals have it before serialisation.


@contextlib.contextmanager
def published(sent: Callable[[Raw], object]) -> Generator[None]:
    """Within the block, ``sent`` gets each task's message after the broker has taken it.

    Args:
        sent: gets a raw message in the form of kombu's virtual transports.
    """
    from kombu.messaging import Producer

    before = Producer._publish

    def publish(
        self: Any, body: Any, priority: Any, content_type: Any, content_encoding: Any, *rest: Any, **more: Any
    ) -> Any:
        headers, properties, routing_key = rest[0], rest[1], rest[2]
        exchange = more["exchange"] if "exchange" in more else rest[5]
        result = before(self, body, priority, content_type, content_encoding, *rest, **more)
        if headers and headers.get("task"):
            sent(
                {
                    "body": b64encode(body if isinstance(body, bytes) else str(body).encode()).decode(),
                    "content-type": content_type,
                    "content-encoding": content_encoding,
                    "headers": dict(headers),
                    "properties": {
                        "body_encoding": "base64",
                        "priority": priority,
                        "correlation_id": properties.get("correlation_id"),
                        "reply_to": properties.get("reply_to"),
                        "delivery_info": {"exchange": exchange or "", "routing_key": routing_key or ""},
                    },
                }
            )
        return result

    with replaced(Producer, "_publish", publish):
        yield


# --- end of private API


def queue_of(raw: Raw, app: Any) -> str:
    """The queue that a message goes to: the one of its routing key at the default exchange, else the bound one."""
    info = raw["properties"]["delivery_info"]
    exchange, key = info["exchange"], info["routing_key"]
    if not exchange:
        return str(key)
    for queue in app.amqp.queues.values():
        if queue.exchange.name == exchange and queue.routing_key == key:
            return str(queue.name)
    return str(key)
