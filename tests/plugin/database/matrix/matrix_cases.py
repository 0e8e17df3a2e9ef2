"""The cases: what an async test may do with its database. Each runs on every database; see test_matrix.py."""

import asyncio
import contextlib
import json
import logging
import socket
import threading
import time
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import pytest
import pytest_asyncio
from asgiref.sync import ThreadSensitiveContext, async_to_sync, sync_to_async
from channels.db import database_sync_to_async
from channels.testing import WebsocketCommunicator
from depot.consumers import AsyncDepot, SyncDepot
from depot.models import Item, Shelf
from django.core.asgi import get_asgi_application
from django.db import IntegrityError, close_old_connections, connection, connections, transaction
from django.db.backends.base.base import BaseDatabaseWrapper
from django.test import AsyncClient, TestCase, TransactionTestCase

from pytest_backchannel.errors import SharedConnectionBusy

asyncio_case = pytest.mark.asyncio


def in_thread(work, *args, name="case-thread"):
    """Run work in a new thread and raise what it raised."""
    box = {}

    def run():
        try:
            box["value"] = work(*args)
        except BaseException as error:
            box["error"] = error

    thread = threading.Thread(target=run, name=name)
    thread.start()
    thread.join(30)
    assert not thread.is_alive()
    if "error" in box:
        raise box["error"]
    return box.get("value")


def create(name="a"):
    return Item.objects.create(name=name)


# ------------------------------------------------------------------ the ways to the database


@asyncio_case
@pytest.mark.parametrize("again", [1, 2])
async def test_async_orm(db, again):
    item = await Item.objects.acreate(name="a")
    item.name = "b"
    await item.asave()
    assert await Item.objects.aget(name="b") == item
    assert [found.name async for found in Item.objects.all()] == ["b"]
    await Item.objects.aupdate(name="c")
    await item.arefresh_from_db()
    assert item.name == "c"
    await Item.objects.abulk_create([Item(name="d"), Item(name="e")])
    assert await Item.objects.acount() == 3
    await item.adelete()
    assert await Item.objects.filter(name="c").aexists() is False


@asyncio_case
@pytest.mark.parametrize("sensitive", [True, False])
async def test_sync_to_async(db, sensitive):
    await sync_to_async(create, thread_sensitive=sensitive)()
    assert await Item.objects.acount() == 1


@asyncio_case
async def test_database_sync_to_async(db):
    await database_sync_to_async(create)()
    assert await database_sync_to_async(Item.objects.count)() == 1


@asyncio_case
async def test_thread(db):
    await Item.objects.acreate(name="seen by the thread")
    assert in_thread(Item.objects.count) == 1
    in_thread(create)
    assert await Item.objects.acount() == 2


@asyncio_case
async def test_to_thread_and_executors(db):
    await asyncio.to_thread(create, "to_thread")
    await asyncio.get_running_loop().run_in_executor(None, create, "executor")
    with ThreadPoolExecutor(3, thread_name_prefix="case-pool") as pool:
        list(pool.map(create, "abc"))
    assert await Item.objects.acount() == 5


@asyncio_case
async def test_gather(db):
    await asyncio.gather(*(Item.objects.acreate(name=str(number)) for number in range(20)))
    assert await Item.objects.acount() == 20


@asyncio_case
async def test_thread_sensitive_context(db):
    async with ThreadSensitiveContext():
        await sync_to_async(create)()
    assert await Item.objects.acount() == 1


@asyncio_case
async def test_get_or_create_concurrently(db):
    await asyncio.gather(*(Item.objects.aget_or_create(name="one") for _ in range(10)))
    await asyncio.gather(
        *(sync_to_async(Item.objects.get_or_create, thread_sensitive=False)(name="two") for _ in range(10))
    )
    assert await Item.objects.acount() == 2


@asyncio_case
async def test_the_same_query_in_many_threads(db):
    """SQLite's driver gives the same statement to two cursors, if one is about to have read its last row."""
    await Item.objects.acreate(name="one")

    def read():
        return {len(Item.objects.filter(name="one")) for _ in range(300)}

    assert await asyncio.gather(*(asyncio.to_thread(read) for _ in range(6))) == [{1}] * 6


@asyncio_case
async def test_relations_and_prefetch(db):
    shelf = await Shelf.objects.acreate(name="s")
    await Item.objects.acreate(name="a", shelf=shelf)
    found = await Shelf.objects.prefetch_related("items").aget()
    assert [item.name for item in found.items.all()] == ["a"]


@asyncio_case
async def test_chunked_reading_while_others_write(db):
    await Item.objects.abulk_create([Item(name=f"{number:02}") for number in range(10)])
    names = []
    async for item in Item.objects.order_by("name").aiterator(chunk_size=2):
        names.append(item.name)
        # Another table: without sharing, SQLite shows a reader what its own connection adds to the one that it reads.
        await asyncio.to_thread(Shelf.objects.create, name=item.name)
    assert names == [f"{number:02}" for number in range(10)]
    assert await Shelf.objects.acount() == 10


@asyncio_case
async def test_raw_cursor_in_a_thread(db):
    await Item.objects.acreate(name="a")

    def read():
        with connection.cursor() as cursor:
            cursor.execute("SELECT name FROM depot_item")
            return cursor.fetchall()

    assert in_thread(read) == [("a",)]


@asyncio_case
async def test_select_for_update(db):
    await Item.objects.acreate(name="a")

    def lock():
        with transaction.atomic():
            return Item.objects.select_for_update().get().name

    assert in_thread(lock) == "a"


@asyncio_case
async def test_async_to_sync_inside(db):
    async def inner():
        await Item.objects.acreate(name="inner")

    def outer():
        with transaction.atomic():
            create("outer")
            async_to_sync(inner)()
            return Item.objects.count()

    assert await sync_to_async(outer)() == 2


# ------------------------------------------------------------------------------ fixtures


@pytest.fixture
def shelf(db):
    yield Shelf.objects.create(name="of a sync fixture")
    assert Shelf.objects.count() == 1


@pytest_asyncio.fixture
async def item(db):
    yield await Item.objects.acreate(name="of an async fixture")
    assert await Item.objects.acount() >= 1


@asyncio_case
async def test_fixtures(shelf, item):
    assert await Shelf.objects.aget() == shelf
    assert await Item.objects.aget() == item
    assert in_thread(Item.objects.count) == 1


def test_async_fixture_of_a_sync_test(item):
    assert Item.objects.get() == item


@pytest.mark.django_db
@asyncio_case
async def test_marker():
    await Item.objects.acreate(name="a")


def test_sync_db_async_sees_threads(db_async):
    create("a")
    assert in_thread(Item.objects.count) == 1


@asyncio_case(loop_scope="module")
@pytest.mark.parametrize("again", [1, 2])
async def test_module_loop(db, again):
    await Item.objects.acreate(name="a")
    assert in_thread(Item.objects.count) == 1


@asyncio_case(loop_scope="session")
@pytest.mark.parametrize("again", [1, 2])
async def test_session_loop(db, again):
    await Item.objects.acreate(name="a")
    await asyncio.to_thread(create, "b")
    assert await Item.objects.acount() == 2


# ------------------------------------------------------------------------------ requests


@asyncio_case
async def test_async_client(db, async_client):
    response = await async_client.get("/add/async/a/")
    assert response.json()["count"] == 1
    assert (await Item.objects.aget()).name == "a"


@asyncio_case
async def test_async_client_sync_view_commits(db, async_client):
    response = await async_client.get("/add/sync/a/")
    item = await Item.objects.aget()
    assert response.json() == {"id": item.pk, "early": [], "committed": [item.pk]}


@asyncio_case
async def test_atomic_requests(db, settings):
    connection.settings_dict["ATOMIC_REQUESTS"] = True
    try:
        response = await AsyncClient().get("/add/sync/a/")
    finally:
        connection.settings_dict["ATOMIC_REQUESTS"] = False
    assert response.json()["committed"] == []  # the request's own block is the outermost
    assert await Item.objects.acount() == 1


@asyncio_case
async def test_streaming(db, async_client):
    await Item.objects.abulk_create([Item(name="a"), Item(name="b")])
    response = await async_client.get("/stream/")
    assert b"".join([part async for part in response.streaming_content]) == b"a;b;"


async def ask(application, path):
    """One GET through a plain ASGI application, as a server would call it."""
    sent = []
    scope = {"type": "http", "asgi": {"version": "3.0"}, "http_version": "1.1", "method": "GET", "path": path}
    scope |= {"raw_path": path.encode(), "query_string": b"", "root_path": "", "scheme": "http"}
    scope |= {"headers": [(b"host", b"testserver")], "client": ("127.0.0.1", 1), "server": ("testserver", 80)}
    inbox = asyncio.Queue()
    inbox.put_nowait({"type": "http.request", "body": b"", "more_body": False})

    async def send(message):
        sent.append(message)

    await application(scope, inbox.get, send)
    return b"".join(message.get("body", b"") for message in sent)


@asyncio_case
async def test_asgi_handler(db):
    application = get_asgi_application()
    answer = json.loads(await ask(application, "/add/async/a/"))
    assert answer["count"] == 1
    assert json.loads(await ask(application, "/add/sync/b/"))["committed"]
    assert await ask(application, "/names/") == b"a,b"
    assert await Item.objects.acount() == 2


@asyncio_case
async def test_asgi_handler_closing_connections(db):
    assert await ask(get_asgi_application(), "/closing/") == b"2"
    assert await Item.objects.acount() == 2


@contextlib.contextmanager
def uvicorn_in_a_thread():
    import uvicorn

    config = uvicorn.Config(get_asgi_application(), log_level="critical", lifespan="off", ws="none")
    server = uvicorn.Server(config)
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        thread = threading.Thread(target=server.run, kwargs={"sockets": [listener]}, name="case-server")
        thread.start()
        try:
            while not server.started:
                time.sleep(0.005)
            yield f"http://127.0.0.1:{listener.getsockname()[1]}"
        finally:
            server.should_exit = True
            thread.join(10)


def get(url):
    with urllib.request.urlopen(url, timeout=10) as response:
        return response.read()


@asyncio_case
async def test_server_in_a_thread(db):
    await Item.objects.acreate(name="uncommitted")
    with uvicorn_in_a_thread() as url:
        assert await asyncio.to_thread(get, url + "/names/") == b"uncommitted"
        assert json.loads(await asyncio.to_thread(get, url + "/add/sync/of-the-server/"))["committed"]
    assert await Item.objects.acount() == 2


def test_server_in_a_thread_of_a_sync_test(db_async):
    create("uncommitted")
    with uvicorn_in_a_thread() as url:
        assert get(url + "/names/") == b"uncommitted"
        get(url + "/add/async/of-the-server/")
    assert Item.objects.count() == 2


# ------------------------------------------------------------------------------ consumers


@asyncio_case
@pytest.mark.parametrize("how", ["orm", "channels", "insensitive", "thread"])
async def test_async_consumer(db, how):
    await Item.objects.acreate(name="seen")
    communicator = WebsocketCommunicator(AsyncDepot.as_asgi(), "/")
    assert (await communicator.connect())[0]
    await communicator.send_json_to({"how": how, "name": "a"})
    assert await communicator.receive_json_from() == {"count": 2}
    await communicator.disconnect()
    assert await Item.objects.acount() == 2


@asyncio_case
async def test_sync_consumer_and_its_on_commit(db):
    communicator = WebsocketCommunicator(SyncDepot.as_asgi(), "/")
    assert (await communicator.connect())[0]
    await communicator.send_json_to({"name": "a"})
    assert await communicator.receive_json_from() == {"count": 1}
    await communicator.disconnect()
    assert await Item.objects.acount() == 1


@asyncio_case
async def test_two_consumers(db):
    communicators = [WebsocketCommunicator(AsyncDepot.as_asgi(), "/") for _ in range(2)]
    for number, communicator in enumerate(communicators):
        await communicator.connect()
        await communicator.send_json_to({"how": "channels", "name": str(number)})
    assert sorted([(await c.receive_json_from())["count"] for c in communicators])[-1] == 2
    for communicator in communicators:
        await communicator.disconnect()


# ------------------------------------------------------------------------------ connections


@asyncio_case
async def test_close_old_connections(db):
    await Item.objects.acreate(name="a")
    await sync_to_async(close_old_connections)()
    in_thread(close_old_connections)
    in_thread(connections.close_all)
    in_thread(lambda: connection.close())
    await sync_to_async(lambda: connection.close())()
    assert await Item.objects.acount() == 1


@asyncio_case
async def test_count_queries(db, django_assert_num_queries, django_assert_max_num_queries):
    with django_assert_num_queries(3) as captured:
        await Item.objects.acreate(name="a")
        await Item.objects.acount()
        in_thread(Item.objects.count)
    assert "INSERT" in captured[0]["sql"]
    with django_assert_max_num_queries(1):
        await Item.objects.acount()


@asyncio_case
async def test_query_wrapper(db):
    seen = []

    def watch(execute, sql, params, many, context):
        seen.append(sql)
        return execute(sql, params, many, context)

    with connection.execute_wrapper(watch):
        await Item.objects.acount()
    await Item.objects.acount()
    assert len(seen) == 1


@asyncio_case
async def test_real_second_connection(db):
    await Item.objects.acreate(name="uncommitted")

    def count_there():
        second = connections.create_connection("default")
        try:
            with second.cursor() as cursor:
                cursor.execute("SELECT COUNT(*) FROM depot_item")
                return cursor.fetchone()[0]
        finally:
            BaseDatabaseWrapper.close(second)

    if connection.vendor == "postgresql":
        assert in_thread(count_there) == 0
    assert await Item.objects.acount() == 1


@pytest.mark.django_db(databases=["default", "other"])
@asyncio_case
async def test_two_databases():
    await Item.objects.acreate(name="a")
    await Item.objects.using("other").acreate(name="b")
    assert in_thread(lambda: Item.objects.using("other").get().name) == "b"
    done = []

    def work():
        with transaction.atomic(using="other"):
            with transaction.atomic():
                transaction.on_commit(lambda: done.append("default"))
                transaction.on_commit(lambda: done.append("other"), using="other")
            assert done == ["default"]

    await sync_to_async(work)()
    assert done == ["default", "other"]


@pytest.mark.django_db(databases="__all__")
@asyncio_case
async def test_all_databases():
    await sync_to_async(Item.objects.using("other").create, thread_sensitive=False)(name="b")
    assert await Item.objects.using("other").acount() == 1
    assert await Item.objects.acount() == 0


@asyncio_case
async def test_a_database_not_asked_for_is_refused(db):
    for use in (
        Item.objects.using("other").acount,
        sync_to_async(Item.objects.using("other").count, thread_sensitive=False),
    ):
        with pytest.raises(AssertionError, match="not allowed"):
            await use()


# ------------------------------------------------------------------------------ transactions


@asyncio_case
async def test_rolled_back_block(db):
    def work():
        with transaction.atomic():
            create("kept")
            with contextlib.suppress(ValueError), transaction.atomic():
                create("rolled back")
                raise ValueError
        with contextlib.suppress(IntegrityError), transaction.atomic():
            create("kept")

    await sync_to_async(work)()
    assert [item.name async for item in Item.objects.all()] == ["kept"]


@asyncio_case
async def test_durable_block(db):
    def work():
        with transaction.atomic(durable=True):
            create()
            with pytest.raises(RuntimeError, match="durable"), transaction.atomic(durable=True):
                pass

    await sync_to_async(work)()
    assert await Item.objects.acount() == 1


@asyncio_case
async def test_on_commit_order_and_nesting(db):
    done = []

    def work():
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(1))
            with transaction.atomic(), transaction.atomic(savepoint=False):
                transaction.on_commit(lambda: transaction.on_commit(lambda: done.append(2)))
            transaction.on_commit(nested)
            assert done == []
        assert done == [1, 2, 3, 4]

    def nested():
        done.append(3)
        with transaction.atomic():
            create()
            transaction.on_commit(lambda: done.append(4))

    await sync_to_async(work)()
    assert await Item.objects.acount() == 1


@asyncio_case
async def test_on_commit_not_after_a_rollback(db):
    done = []

    def work():
        with contextlib.suppress(ValueError), transaction.atomic():
            transaction.on_commit(lambda: done.append("failed"))
            raise ValueError
        with transaction.atomic():
            transaction.on_commit(lambda: done.append("set_rollback"))
            transaction.set_rollback(True)
        with transaction.atomic():
            with contextlib.suppress(ValueError), transaction.atomic():
                transaction.on_commit(lambda: done.append("inner"))
                raise ValueError
            transaction.on_commit(lambda: done.append("outer"))

    await sync_to_async(work)()
    in_thread(work)
    assert done == ["outer", "outer"]


def failing():
    raise ZeroDivisionError("in a callback")


@asyncio_case
async def test_on_commit_that_fails(db, caplog):
    done = []

    def robust():
        with transaction.atomic():
            transaction.on_commit(failing, robust=True)
            transaction.on_commit(lambda: done.append("after the robust one"))

    def plain():
        with transaction.atomic():
            create()
            transaction.on_commit(failing)
            transaction.on_commit(lambda: done.append("never"))

    with caplog.at_level(logging.ERROR, "django.db.backends.base"):
        await sync_to_async(robust)()
    assert "Error calling failing in on_commit() during transaction (in a callback)." in caplog.text
    with pytest.raises(ZeroDivisionError):
        await sync_to_async(plain)()
    assert done == ["after the robust one"]
    assert await Item.objects.acount() == 1  # committed before the callback failed
    with pytest.raises(TypeError, match="callable"):
        await sync_to_async(transaction.on_commit)(None)


@asyncio_case
async def test_on_commit_outside_a_block_runs_at_once(db, caplog):
    done = []
    await sync_to_async(transaction.on_commit)(lambda: done.append(1))
    assert done == [1]
    with caplog.at_level(logging.ERROR, "django.db.backends.base"):
        await sync_to_async(transaction.on_commit)(failing, robust=True)
    assert "Error calling failing in on_commit() (in a callback)." in caplog.text


@asyncio_case
async def test_capture_takes_the_callbacks(django_capture_on_commit_callbacks, db):
    done = []

    def work(value):
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(value))

    with django_capture_on_commit_callbacks() as callbacks:
        await sync_to_async(work)("captured")
    assert len(callbacks) == 1
    await sync_to_async(work)("run")
    assert done == ["run"]
    with django_capture_on_commit_callbacks(execute=True) as callbacks:
        await sync_to_async(work)("executed")
        assert done == ["run"]
    assert done == ["run", "executed"]


@asyncio_case
async def test_capture_inside_capture(db, django_capture_on_commit_callbacks):
    done = []
    with django_capture_on_commit_callbacks() as outer:
        await sync_to_async(transaction.on_commit)(lambda: done.append(1))
        with django_capture_on_commit_callbacks(execute=True) as inner:
            await sync_to_async(transaction.on_commit)(lambda: done.append(2))
    assert (len(outer), len(inner), done) == (2, 1, [2])


# ------------------------------------------------------------------------------ concurrency


def stack_of_savepoints(worker, rounds=6):
    """Nested blocks of which every second one fails; returns the names that must be there in the end."""
    kept = []
    for number in range(rounds):
        name = f"{worker}-{number}"
        with transaction.atomic():
            create(name)
            kept.append(name)
            with contextlib.suppress(ValueError), transaction.atomic():
                create(name + "-lost")
                with transaction.atomic():
                    create(name + "-lost-too")
                raise ValueError
            with contextlib.suppress(IntegrityError), transaction.atomic():
                create(name)
        with contextlib.suppress(ValueError), transaction.atomic():
            create(name + "-gone")
            raise ValueError
        create(name + "-plain")
        kept.append(name + "-plain")
    return kept


@asyncio_case
async def test_eight_threads_with_failing_savepoints(db):
    with ThreadPoolExecutor(8, thread_name_prefix="case-pool") as pool:
        kept = [name for names in pool.map(stack_of_savepoints, range(8)) for name in names]
    assert sorted([item.name async for item in Item.objects.all()]) == sorted(kept)


@asyncio_case
async def test_a_block_that_waits_for_its_threads(db):
    def work():
        with transaction.atomic():
            in_thread(create, "joined")
            with ThreadPoolExecutor(4) as pool:
                kept = [name for names in pool.map(stack_of_savepoints, range(4)) for name in names]
            assert Item.objects.filter(name__in=kept).count() == len(kept)
        with contextlib.suppress(ValueError), transaction.atomic():
            in_thread(create, "gone")
            raise ValueError
        return ["joined", *kept]

    kept = await asyncio.to_thread(work)
    assert sorted([item.name async for item in Item.objects.all()]) == sorted(kept)


@asyncio_case
async def test_deadlock_names_the_holder(db, monkeypatch):
    from pytest_backchannel.database import current_sharing

    monkeypatch.setattr(current_sharing().shared["default"].lock, "limit", 0.2)

    def hold():
        waited, errors = threading.Event(), []

        def wait():
            try:
                create()
            except SharedConnectionBusy as error:
                errors.append(error)
            waited.set()

        with transaction.atomic():
            threading.Thread(target=wait, name="case-waiter").start()
            assert waited.wait(30)
            raise errors[0]

    with pytest.raises(SharedConnectionBusy) as caught:
        await asyncio.to_thread(hold)
    message = str(caught.value)
    assert "case-waiter waited 0.2 s to run a query on the database 'default'" in message
    assert "asyncio_0 holds it, inside the atomic block entered at test_matrix.py:" in message
    assert "django_db(transaction=True)" in message
    assert await Item.objects.acount() == 0


# ------------------------------------------------------------------------------ transactional_db


@asyncio_case
@pytest.mark.parametrize("again", [1, 2])
async def test_transactional(transactional_db, again):
    await Item.objects.acreate(name="a")
    await sync_to_async(create, thread_sensitive=False)("b")
    await asyncio.to_thread(create, "c")
    in_thread(create, "d")
    async with ThreadSensitiveContext():
        await sync_to_async(create)("e")
    assert await Item.objects.acount() == 5


@pytest.mark.django_db(transaction=True, databases=["default", "other"])
@asyncio_case
async def test_transactional_of_two_databases(django_assert_num_queries):
    await Item.objects.using("other").acreate(name="a")
    done = []

    def work():
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(1))

    await sync_to_async(work, thread_sensitive=False)()
    assert done == [1]


# ------------------------------------------------------------------------------ Django's test classes


class AsyncMethods(TestCase):
    databases = {"default", "other"}

    @classmethod
    def setUpTestData(cls):
        cls.shelf = Shelf.objects.create(name="of the class")

    async def test_threads(self):
        await Item.objects.acreate(name="a", shelf=self.shelf)
        await sync_to_async(create, thread_sensitive=False)("b")
        in_thread(create, "c")
        assert await Item.objects.acount() == 3
        assert in_thread(Shelf.objects.get) == self.shelf

    async def test_nothing_is_left_of_the_other_test(self):
        assert await Item.objects.acount() == 0
        assert await Shelf.objects.acount() == 1
        await Item.objects.using("other").acreate(name="b")
        await asyncio.to_thread(create)
        self.shelf.name = "changed"
        await self.shelf.asave()

    async def test_queries_and_callbacks(self):
        assert (await Shelf.objects.aget()).name == "of the class"
        with self.assertNumQueries(2):
            await Shelf.objects.acount()
            in_thread(Shelf.objects.count)
        done = []

        def work():
            with transaction.atomic():
                transaction.on_commit(lambda: done.append(1))

        await sync_to_async(work)()
        assert done == [1]
        with self.captureOnCommitCallbacks() as callbacks:
            await sync_to_async(work)()
        assert (len(callbacks), done) == (1, [1])

    async def test_requests(self):
        assert (await self.async_client.get("/add/sync/a/")).json()["committed"]
        assert await ask(get_asgi_application(), "/names/") == b"a"


class SyncMethods(TestCase):
    def test_as_it_was(self):
        done = []
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(1))
        assert done == []
        with self.captureOnCommitCallbacks(execute=True):
            transaction.on_commit(lambda: done.append(1))
        assert done == [1]

    @pytest.mark.usefixtures("db_async")
    def test_with_the_fixture(self):
        done = []
        with transaction.atomic():
            transaction.on_commit(lambda: done.append(1))
        assert done == [1]
        assert in_thread(Item.objects.count) == 0


class TransactionalMethods(TransactionTestCase):
    async def test_one(self):
        await asyncio.to_thread(create)
        in_thread(create, "b")
        assert await Item.objects.acount() == 2

    async def test_two(self):
        assert await Item.objects.acount() == 0
        await asyncio.to_thread(create)


# ------------------------------------------------------------------------------ without the plugin's part


def test_plain_sync_is_as_it_was(db):
    done = []
    with transaction.atomic():
        create()
        transaction.on_commit(lambda: done.append(1))
    assert done == []
    assert not connection.allow_thread_sharing
    assert len(connection.run_on_commit) == 1


def test_last():
    """Without a database, pytest-django puts it last: the databases go after it, so that all others are checked."""
