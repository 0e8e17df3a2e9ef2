"""The same under anyio's marker, in one event loop a test."""

import threading

import pytest
from anyio import create_task_group, to_thread
from depot.models import Item

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend():
    return "asyncio"


@pytest.fixture
async def item(db):
    yield await Item.objects.acreate(name="of an anyio fixture")
    assert await Item.objects.acount() >= 1


@pytest.mark.parametrize("again", [1, 2])
async def test_anyio(db, again):
    await Item.objects.acreate(name="a")
    await to_thread.run_sync(Item.objects.create)
    thread = threading.Thread(target=Item.objects.create, kwargs={"name": "c"})
    thread.start()
    thread.join()
    assert await Item.objects.acount() == 3


async def test_anyio_fixture_and_tasks(item):
    async with create_task_group() as group:
        for number in range(5):
            group.start_soon(lambda number=number: Item.objects.acreate(name=str(number)))
    assert await Item.objects.acount() == 6
