"""``task_queue`` for one test: which broker it is to have, the queue over it, and real brokers that nobody meant."""

from __future__ import annotations

import contextlib
import functools
import os
import sys
from importlib import import_module
from typing import TYPE_CHECKING, Any

import pytest

from ..active import Together
from ..markers import queue_arguments
from ..options import once_per_config, options_of
from . import unseen_patches
from .fresh.fresh_worker import why_unregistered
from .project import find_celery_app, production
from .real_servers import make_integration

if TYPE_CHECKING:
    from collections.abc import Callable, Generator, Mapping

    from ..tasks.queue import TaskQueue

REAL_BROKERS = ("redis", "rabbitmq")
_REAL_FIXTURES = frozenset({"worker_process", "redis_server", "rabbitmq_server"})
# With one of these, a test means to use a real broker; the latter two are Celery's own.
_MEAN_A_BROKER = _REAL_FIXTURES | {"celery_worker", "celery_session_worker"}
# Arguments of the marker that say how the simulated broker and workers behave.
_SIMULATED = {"order": "fifo", "redeliver_all": False, "workers": None}


def queue_for(request: pytest.FixtureRequest) -> contextlib.AbstractContextManager[TaskQueue]:
    """The task queue that a test asks for, by the marker and by the broker that it is parametrised with."""
    __tracebackhide__ = True
    arguments = queue_arguments(request.node)
    broker = getattr(request, "param", None) or arguments.get("broker", "stepped")
    if broker != "stepped":
        return real_queue(request, broker, arguments)
    return (
        _with_setup(stepped_queue(request.node), arguments["setup"])
        if "setup" in arguments
        else stepped_queue(request.node)
    )


@contextlib.contextmanager
def _with_setup(queue: TaskQueue, setup: Any) -> Generator[TaskQueue]:
    """The stepped worker is this process: a setup that is undone at its end runs here, and any other only elsewhere."""
    __tracebackhide__ = True
    from ..servers.workers.setup_hook import begin, gives_context_manager, load, setup_path

    path = setup_path(setup)
    with contextlib.ExitStack() as stack:
        if gives_context_manager(load(path)):
            begin(path, stack)
        yield stack.enter_context(queue)


def stepped_queue(item: pytest.Item) -> TaskQueue:
    """The task queue for one test, by its marker and the project's configuration; a context manager.

    Raises:
        pytest.UsageError: as for ``task_queue``.
    """
    __tracebackhide__ = True
    from ..inventory.differences import silent_differences
    from ..tasks.queue import TaskQueue

    arguments = queue_arguments(item)
    arguments.pop("broker", None)
    arguments.pop("setup", None)
    options = options_of(item.config)
    app = find_celery_app(item.config)
    profile = production(item.config)
    if options.worker_queues and not {"queues", "workers"} & set(arguments):
        arguments["queues"] = options.worker_queues
    if "profile" not in arguments:
        arguments["profile"] = profile.broker
    try:
        return TaskQueue(
            app,
            broker_options=profile.broker_options if arguments["profile"] == profile.broker else {},
            result_backend=profile.result_backend,
            in_transaction=_in_code_transaction,
            why_unregistered=functools.partial(why_unregistered, item.config),
            conf=silent_differences(profile.celery, app, os.environ.get("DJANGO_SETTINGS_MODULE", "")),
            reuse=options.reuse,
            **arguments,
        )
    except ValueError as error:
        raise pytest.UsageError(f"{item.nodeid}: task_queue: {error}") from None


def _in_code_transaction() -> bool:
    if "django.db" not in sys.modules:
        return False
    from ..database import in_code_transaction

    return in_code_transaction()


@contextlib.contextmanager
def real_queue(request: pytest.FixtureRequest, broker: str, arguments: Mapping[str, Any]) -> Generator[TaskQueue]:
    """``task_queue`` over a real broker, with a real worker process, for one test.

    Args:
        request: of the fixture.
        broker: ``redis`` or ``rabbitmq``.
        arguments: those of the marker ``task_queue``.
    """
    from ..servers.queue.real_driver import RealDriver
    from ..servers.watchdog import make_folder, remove_folder
    from ..tasks.queue import TaskQueue

    for name, default in _SIMULATED.items():
        if arguments.get(name, default) != default:
            pytest.skip(f"task_queue({name}={arguments[name]!r}) can't be had with a real broker: it is simulated")
    request.getfixturevalue("transactional_db")
    conf = {}
    if "visibility_timeout" in arguments:
        conf["broker_transport_options"] = {"visibility_timeout": arguments["visibility_timeout"]}
    queues = arguments.get("queues") or options_of(request.config).worker_queues or None
    with make_integration(request.config, broker) as integration:
        folder = make_folder("queue")
        try:
            with unseen_patches.told(request.node) as tell:
                driver = RealDriver(
                    integration,
                    folder=folder,
                    queues=queues,
                    conf=conf,
                    setup=arguments.get("setup"),
                    before_run=tell,
                )
                with TaskQueue.over(driver) as queue:
                    yield queue
        finally:
            remove_folder(folder)


def _broker_of(item: Any) -> str:
    callspec = getattr(item, "callspec", None)
    chosen = callspec.params.get("task_queue") if callspec is not None else None
    if chosen is None and item.get_closest_marker("task_queue") is not None:
        chosen = _wanted_broker(item)
    return chosen if isinstance(chosen, str) else "stepped"


def has_real_broker(item: pytest.Item) -> bool:
    """Whether the test's tasks go to a real broker that the plugin runs, and a real worker runs them."""
    fixtures = getattr(item, "fixturenames", ())
    return "worker_process" in fixtures or ("task_queue" in fixtures and _broker_of(item) in REAL_BROKERS)


def _wanted_broker(item: Any) -> Any:
    """What its marker says; None where the marker is wrong, of which the test is told when it runs."""
    try:
        return queue_arguments(item).get("broker")
    except pytest.UsageError:
        return None


def parametrise(metafunc: pytest.Metafunc) -> None:
    """Run a test against each of the brokers that its marker lists."""
    if "task_queue" not in metafunc.fixturenames or metafunc.definition.get_closest_marker("task_queue") is None:
        return
    brokers = _wanted_broker(metafunc.definition)
    if isinstance(brokers, list | tuple):
        metafunc.parametrize("task_queue", list(brokers), indirect=True)


def mark_integration_tests(items: list[pytest.Item]) -> None:
    """Mark what needs a real broker, and give it a database that another process sees."""
    for item in items:
        fixtures = getattr(item, "fixturenames", ())
        real = "task_queue" in fixtures and _broker_of(item) in REAL_BROKERS
        if real:
            # In front: where the test says django_db without a transaction, this one is nearer.
            item.add_marker(pytest.mark.django_db(transaction=True), append=False)
        if real or not _REAL_FIXTURES.isdisjoint(fixtures):
            item.add_marker("celery_integration")


# ----------------------------------------------------------- tests without a fixture


@functools.cache
def _broker_watch() -> tuple[Together, Callable[[Callable[[], bool] | None], None]]:
    # Once: what every test does is not to go through the machinery of an import.
    from ..tasks.broker_guard import note_real_brokers, noting

    return Together(noting), note_real_brokers


def watch_brokers(item: pytest.Item) -> bool:
    """Note a connection to a real broker, in a test that uses nothing of ours; False where Celery is not loaded."""
    if "celery" not in sys.modules:
        return False
    around, begin = _broker_watch()
    around.install()
    begin(functools.partial(_means_a_broker, item))
    return True


def end_broker_watch() -> None:
    """The body has ended."""
    around, begin = _broker_watch()
    begin(None)
    around.remove()


# Set for an item that has an in-process double.
DOUBLED = pytest.StashKey[bool]()


_REDIS_WATCH = pytest.StashKey["Callable[[], None]"]()


def has_double(item: pytest.Item) -> None:
    """Note that a test has an in-process double, so that nothing real may be reached from now on."""
    item.stash[DOUBLED] = True
    begin_redis_watch(item)


def begin_redis_watch(item: pytest.Item) -> bool:
    """Tell of a connection to a real Redis that the project's messages, results or locks need, from the setup on.

    Returns:
        Whether there is such a watch.
    """
    if _REDIS_WATCH in item.stash:
        return True
    if "redis.connection" not in sys.modules:
        # The test may be the first to load it: Channels and Celery do when first used, celery-once when it locks.
        refused = DOUBLED in item.stash and "celery" in sys.modules
        if not refused and not _names_redis(item.config):
            return False
        with contextlib.suppress(ImportError):
            import_module("redis.asyncio.connection")
    if "redis.connection" not in sys.modules:
        return False
    end = _begin_to_watch_redis()(
        functools.partial(_means_a_server, item), lambda: DOUBLED in item.stash and not has_real_broker(item)
    )
    if end is not None:
        item.stash[_REDIS_WATCH] = end
    return end is not None


@functools.cache
def _begin_to_watch_redis() -> Callable[[Callable[[], bool], Callable[[], bool]], Callable[[], None] | None]:
    from ..servers.redis_reached import begin

    return begin


def end_redis_watch(item: pytest.Item) -> None:
    """End it, when the fixtures are gone."""
    if _REDIS_WATCH in item.stash:
        end = item.stash[_REDIS_WATCH]
        del item.stash[_REDIS_WATCH]
        end()


@once_per_config
def _names_redis(config: pytest.Config) -> bool:
    """Whether the project's settings say that a layer, the broker or the results are on Redis."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    if settings is None or not settings.configured:
        return False
    layers = (getattr(settings, "CHANNEL_LAYERS", None) or {}).values()
    named = [layer.get("BACKEND") for layer in layers if isinstance(layer, dict)]
    named += [getattr(settings, name) for name in dir(settings) if name.endswith(("BROKER_URL", "RESULT_BACKEND"))]
    return any("redis" in str(value) for value in named)


def _means_a_server(item: pytest.Item) -> bool:
    fixtures: set[str] = set(getattr(item, "fixturenames", ()))
    return (
        has_real_broker(item)
        or not _MEAN_A_BROKER.isdisjoint(fixtures)
        or item.get_closest_marker("celery_integration") is not None
    )


def _means_a_broker(item: pytest.Item) -> bool:
    return "task_queue" in getattr(item, "fixturenames", ()) or _means_a_server(item)
