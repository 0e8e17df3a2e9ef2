"""A factory of worker processes for one test, all of them on one broker."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Self

from ...active import Slot
from ...errors import BackchannelError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from ..integration import Integration
    from .setup_hook import Setup
    from .worker_process import Worker


#: Where the workers of ``worker_process`` report what they do (``instrument.py``), while somebody wants to know: a
#: file, and a folder of faults, which stays empty.
told_into: Slot[tuple[str, str]] = Slot("reports of worker processes")


class WorkerFactory:
    """What ``worker_process`` gives: call it to start a worker process; a context manager, which ends them.

    Args:
        integrate: gives the project's app on a broker, by the broker's name; called for the first worker.
        default_broker: the broker for a first call that names none.

    Attributes:
        workers: those of this test.
    """

    def __init__(self, integrate: Callable[[str], Integration], default_broker: str) -> None:
        self._integrate = integrate
        self._broker = default_broker
        self._integration: Integration | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        integration, self._integration = self._integration, None
        if integration is not None:
            integration.__exit__()

    @property
    def workers(self) -> list[Worker]:
        """Those of this test, in the order of their start."""
        return self._integration.workers if self._integration is not None else []

    def __call__(
        self,
        *,
        broker: str | None = None,
        pool: str = "prefork",
        concurrency: int = 1,
        queues: Sequence[str] = (),
        conf: Mapping[str, Any] | None = None,
        arguments: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        setup: Setup | None = None,
        wait: bool = True,
    ) -> Worker:
        """Start a worker process for the project's app, on the test's database.

        Args:
            broker: ``redis`` or ``rabbitmq``; by default the one whose fixture the test asks for, else Redis.
            pool: ``prefork``, ``solo``, ``threads``, ``gevent`` or ``eventlet``.
            concurrency: how many tasks at once.
            queues: what it consumes; all of the project's where empty.
            conf: Celery's settings for this worker alone, such as ``{"task_acks_late": True}``.
            arguments: further arguments of ``celery worker``.
            environment: variables beside those of the test.
            setup: project code that the worker runs before it begins, such as a fake of another service: the function,
                or ``"tests.support.worker:fake_carrier"``. What it returns as a context manager is entered.
            wait: whether to return only when it consumes; else call ``.wait_ready()``.

        Returns:
            The worker: ``.kill()``, ``.kill_child()``, ``.stop()``, ``.start()``, ``.pause()``, ``.resume()``,
            ``.children``, ``.log``.

        Raises:
            BackchannelError: an argument, or a database, that can't serve.
            ServerFailed: the worker did not start; the message has the end of its log.

        Example:
            >>> def test_invoice_is_sent(worker_process):
            ...     worker_process()
            ...     assert send_invoice_email.delay(7).get(timeout=5) == "sent"
        """
        __tracebackhide__ = True
        chosen = broker or self._broker
        if self._integration is None:
            integration = self._integrate(chosen)
            integration.__enter__()
            self._broker, self._integration = chosen, integration
        elif chosen != self._broker:
            raise BackchannelError(
                f"worker_process(broker={chosen!r}): this test already has a worker on {self._broker!r}, and the "
                "project's app sends to one broker"
            )
        return self._integration.worker(
            pool=pool,
            concurrency=concurrency,
            queues=queues,
            conf=conf,
            arguments=arguments,
            environment=environment,
            setup=setup,
            wait=wait,
            reports=told_into.value,
        )
