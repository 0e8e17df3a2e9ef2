"""A user's suite, annotated with what is public: mypy and pyright check it, and nobody runs it.

``assert_type`` fails where a type is unknown; a line with ``type: ignore`` has to be an error, or the comment is one.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import datetime
from typing import Any, assert_type

import pytest

import pytest_backchannel
import pytest_backchannel.errors
import pytest_backchannel.typing
from pytest_backchannel import (
    EagerMode,
    LayerOptions,
    access_matrix,
    in_code_transaction,
    lend,
    routes_of,
    strict_channel_layers,
)
from pytest_backchannel.errors import (
    BackchannelFailure,
    BackchannelWarning,
    EnqueuedInTransaction,
    GroupSendNotFound,
    NotSerialisable,
    ResultUnavailable,
    WebSocketClosed,
    WebSocketRejected,
)
from pytest_backchannel.typing import (
    AccessMatrix,
    AsgiServer,
    Close,
    Counts,
    EnqueuedTask,
    ExternalRabbitMQ,
    ExternalRedis,
    GroupSend,
    Lost,
    Outcome,
    RabbitMQServer,
    RedisServer,
    Route,
    Slept,
    StrictLayer,
    TaskFailure,
    TaskQueue,
    TaskRetry,
    TaskSuccess,
    VirtualClock,
    WebSocketClient,
    WebSocketFactory,
    WebSocketMatrix,
    Worker,
    WorkerFactory,
)

# ------------------------------------------------------------------------- tasks


def test_what_waits(task_queue: TaskQueue, add: Any) -> None:
    assert_type(len(task_queue), int)
    assert_type(task_queue[0], EnqueuedTask)
    assert_type(list(task_queue), list[EnqueuedTask])
    task = task_queue.assert_enqueued(add.s(1, 2))
    assert_type(task, EnqueuedTask)
    assert_type(task.name, str)
    assert_type(task.queue, str | None)
    assert_type(task.countdown, float | None)
    with task_queue.capture() as captured:
        assert_type(captured, list[EnqueuedTask])
    _ = task_queue.nonesuch  # type: ignore


async def test_what_runs(task_queue: TaskQueue) -> None:
    assert_type(task_queue.run_one(), Counts)
    assert_type(task_queue.run(), Counts)
    assert_type(task_queue.advance(60), Counts)
    assert_type(task_queue.run_until_idle(), Counts)
    assert_type(await task_queue.arun(), Counts)
    assert_type(task_queue.run()["SUCCESS"], int)
    assert_type(task_queue.succeeded, list[TaskSuccess])
    assert_type(task_queue.retries, list[TaskRetry])
    assert_type(task_queue.failures, list[TaskFailure])
    failure = task_queue.failures[0]
    assert_type(failure.exception, BaseException)
    assert_type(failure.retries, int)
    assert_type(task_queue.outcomes, list[Outcome])
    assert_type(task_queue.retries[0].countdown, float | None)
    task_queue.run(limit="many")  # type: ignore


def test_faults(task_queue: TaskQueue, add: Any) -> None:
    task_queue.kill_worker("mid")
    task_queue.refuse_publish(times=2)
    assert_type(task_queue.redeliver(add), EnqueuedTask)
    with pytest.raises(ResultUnavailable) as caught:
        add.delay(1, 2).get()
    assert_type(caught.value, ResultUnavailable)
    error: BackchannelFailure = caught.value
    assert "in vain" in str(error)


def test_eager(celery_eager: None, add: Any) -> None:
    assert add.delay(1, 2).get() == 3


@pytest.fixture
def eager() -> Iterator[EagerMode]:
    with EagerMode() as mode:
        assert_type(mode, EagerMode)
        yield mode


def test_time(virtual_clock: VirtualClock) -> None:
    virtual_clock.shift(60)
    assert_type(virtual_clock.now, datetime)
    assert_type(virtual_clock.sleeps, list[Slept])
    assert_type(virtual_clock.sleeps[0].seconds, float)


# -------------------------------------------------------------------- WebSockets


async def test_chat(websocket: WebSocketFactory, channel_layer: StrictLayer, user: object) -> None:
    async with websocket("/ws/rooms/42/", user=user, subprotocols=["chat"]) as browser:
        assert_type(browser, WebSocketClient)
        await browser.send_json({"text": "hello"})
        assert_type(await browser.receive_text(), str)
        assert_type(await browser.receive_bytes(), bytes)
        closed = await browser.expect_close()
        assert_type(closed, Close)
        assert_type(closed.code, int)
    websocket(42)  # type: ignore
    websocket("/", cookie={})  # type: ignore


def test_group_sends(channel_layer: StrictLayer) -> None:
    sent = channel_layer.assert_group_sent("room-42", {"type": "room.message"})
    assert_type(sent, GroupSend)
    assert_type(sent.group, str)
    assert_type(channel_layer.group_sends, list[GroupSend])
    assert_type(channel_layer.lost, list[Lost])
    assert_type(channel_layer.members("room-42"), list[str])
    with pytest.raises(GroupSendNotFound):
        channel_layer.assert_group_sent("room-43", count=2)


async def test_refused(websocket: WebSocketFactory) -> None:
    with pytest.raises(WebSocketRejected) as refused:
        await websocket("/ws/admin/").connect()
    assert_type(refused.value.http_status, int)
    assert_type(refused.value.code, int | None)
    try:
        await websocket("/ws/echo/").connect()
    except WebSocketClosed as error:
        assert_type(error.reason, str)
    except NotSerialisable as error:
        assert_type(error, NotSerialisable)


async def test_who_may_connect(websocket_matrix: WebSocketMatrix, user: object) -> None:
    matrix = await websocket_matrix(user, url_kwargs={"room": 42})
    assert_type(matrix, AccessMatrix)
    assert_type(matrix.anonymous, set[str])
    assert_type(matrix.outcome("/ws/echo/", signed_in=True, origin="own"), str)
    matrix.assert_open_to(anonymous=["/ws/echo/"])


# ----------------------------------------------------------------------- servers


def test_servers(redis_server: RedisServer, rabbitmq_server: RabbitMQServer, asgi_server: AsgiServer) -> None:
    assert_type(redis_server.url, str)
    assert_type(redis_server.database(1), str)
    redis_server.stop()
    redis_server.start()
    assert_type(rabbitmq_server.rabbitmqctl("list_queues"), str)
    rabbitmq_server.cut_connections()
    assert_type(rabbitmq_server.log, str)
    assert_type(asgi_server.url, str)
    assert_type(asgi_server.ws_url, str)


def test_whichever(redis_server: RedisServer | ExternalRedis, rabbitmq_server: ExternalRabbitMQ) -> None:
    assert_type(redis_server.url, str)
    assert_type(rabbitmq_server.url, str)


def test_workers(worker_process: WorkerFactory) -> None:
    worker = worker_process(concurrency=2, queues=["celery"], conf={"task_acks_late": True})
    assert_type(worker, Worker)
    assert_type(worker_process.workers, list[Worker])
    assert_type(worker.running, bool)
    assert_type(worker.exit_code, int | None)
    assert_type(worker.kill_child(), int)
    worker_process(processes=2)  # type: ignore


# ---------------------------------------------------------------- without pytest


async def without_pytest(application: Any, app: Any) -> None:
    assert_type(pytest_backchannel.__version__, str)
    with TaskQueue(app, queues=["celery"]) as task_queue, VirtualClock() as clock:
        assert_type(task_queue, TaskQueue)
        assert_type(clock, VirtualClock)
    with strict_channel_layers("core", LayerOptions(capacity=10)) as layers:
        assert_type(layers["default"], StrictLayer)
    async with WebSocketClient(application, "/ws/echo/") as browser:
        assert_type(browser, WebSocketClient)
    with lend("a test", wait_limit=5.0):
        assert_type(in_code_transaction(), bool)
    routes = routes_of(application)
    assert_type(routes[0], Route)
    names: Sequence[str] = [route.path for route in routes]
    assert_type(await access_matrix(application), AccessMatrix)
    assert names


def warnings() -> list[type[Warning]]:
    return [BackchannelWarning, EnqueuedInTransaction]


def misspelt() -> None:
    """A module with ``__getattr__`` would have every name."""
    _ = pytest_backchannel.TaskQeue  # type: ignore
    _ = pytest_backchannel.errors.NoFrames  # type: ignore
    _ = pytest_backchannel.typing.TaskQeue  # type: ignore
