"""Eight threads with nested failing savepoints, again and again: what was rolled back is gone, all else is there."""

import contextlib
import threading
from concurrent.futures import ThreadPoolExecutor

import pytest
from asgiref.sync import sync_to_async
from depot.models import Item
from django.db import IntegrityError, connection, transaction

THREADS = 8
ROUNDS = 4

pytestmark = [
    pytest.mark.asyncio,
    pytest.mark.django_db(databases="__all__"),  # all, for the leak check
    pytest.mark.parametrize("again", range(50)),
]


def work(worker, start, committed):
    """What one thread does; returns the names that must be there in the end."""
    kept = []
    start.wait(30)
    for number in range(ROUNDS):
        name = f"{worker}-{number}"
        with transaction.atomic():
            Item.objects.create(name=name)
            transaction.on_commit(lambda name=name: committed.append(name))
            with contextlib.suppress(ValueError), transaction.atomic():
                Item.objects.create(name=name + "-lost")
                transaction.on_commit(lambda: committed.append("lost"))
                with transaction.atomic():
                    Item.objects.create(name=name + "-lost-inner")
                raise ValueError
            with contextlib.suppress(IntegrityError), transaction.atomic():
                Item.objects.create(name=name)
            assert Item.objects.filter(name__startswith=name + "-lost").count() == 0
        with contextlib.suppress(ValueError), transaction.atomic():
            Item.objects.create(name=name + "-gone")
            transaction.on_commit(lambda: committed.append("gone"))
            raise ValueError
        Item.objects.create(name=name + "-plain")
        kept += [name, name + "-plain"]
    return kept


async def test_stress(again):
    start, committed = threading.Event(), []
    with ThreadPoolExecutor(THREADS) as pool:
        jobs = [pool.submit(work, worker, start, committed) for worker in range(THREADS)]
        start.set()
        await sync_to_async(Item.objects.count)()  # the test's own thread is one of them
        kept = [name for job in jobs for name in await sync_to_async(job.result, thread_sensitive=False)(60)]
    assert sorted([item.name async for item in Item.objects.all()]) == sorted(kept)
    assert sorted(committed) == sorted(name for name in kept if not name.endswith("-plain"))
    assert connection.savepoint_ids == []
    assert not connection.needs_rollback
