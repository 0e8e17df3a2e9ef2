"""The parts together: request, commit, task, group send, socket, in one test and in one story."""

from __future__ import annotations

import pytest

TASKS = """
    from asgiref.sync import async_to_sync
    from celery import shared_task
    from channels.layers import get_channel_layer

    from .models import Order


    class Unavailable(Exception):
        pass


    class Gateway:
        charged = []

        @classmethod
        def send(cls, order_id):
            cls.charged.append(order_id)


    @shared_task(bind=True, default_retry_delay=10, max_retries=3)
    def confirm_order(self, order_id):
        try:
            Gateway.send(order_id)
        except Unavailable as exc:
            raise self.retry(exc=exc)
        Order.objects.filter(pk=order_id).update(confirmed=True)
        async_to_sync(get_channel_layer().group_send)(
            f"order-{order_id}", {"type": "room.message", "text": "confirmed"}
        )
        return order_id


    @shared_task(acks_late=True)
    def charge(order_id):
        order, created = Order.objects.get_or_create(reference=f"charge-{order_id}")
        Gateway.charged.append(order_id)
        return created


    @shared_task
    def tell_nobody():
        async_to_sync(get_channel_layer().group_send)("nobody", {"type": "room.message", "text": "x"})
"""
HEAD = """
    import pytest
    from celery.exceptions import Retry
    from django.contrib.auth.models import User
    from shop.models import Order
    from shop.tasks import Gateway, Unavailable, charge, confirm_order, tell_nobody

    @pytest.fixture
    def order(db):
        return Order.objects.create(reference="A1")

    @pytest.fixture(autouse=True)
    def nothing_charged():
        Gateway.charged.clear()
"""


@pytest.fixture
def shop(project):
    project.write("shop/tasks.py", TASKS)
    project.ini("asyncio_mode = auto")

    def run(body, *args):
        import textwrap

        project.write("test_it.py", textwrap.dedent(HEAD) + textwrap.dedent(body))
        return project.run("test_it.py", *args)

    return run


def test_each_level_in_one_suite(shop):
    shop(
        """
        def test_view_enqueues(client, order, task_queue):
            client.post(f"/orders/{order.id}/confirm/")
            message = task_queue.assert_enqueued(confirm_order.s(order.id))
            assert not message.in_transaction
            assert len(task_queue) == 1

        def test_body(order, celery_eager):
            assert confirm_order.delay(order.id).get() == order.id
            order.refresh_from_db()
            assert order.confirmed

        def test_retry_backs_off(order, task_queue, monkeypatch):
            calls = iter([Unavailable(), Unavailable(), None])

            def failing_twice(order_id):
                if error := next(calls):
                    raise error

            monkeypatch.setattr(Gateway, "send", failing_twice)
            confirm_order.delay(order.id)
            task_queue.run_until_idle()
            assert [retry.countdown for retry in task_queue.retries] == [10, 10]
            order.refresh_from_db()
            assert order.confirmed

        def test_worker_killed_mid_task(db, task_queue):
            task_queue.kill_worker(when="after_body")
            charge.delay(7)
            task_queue.run_until_idle()  # Redis: after the visibility timeout
            assert Gateway.charged == [7, 7]
            assert Order.objects.filter(reference="charge-7").count() == 1

        def test_eager_again_after_the_queue(order, celery_eager):
            assert confirm_order.delay(order.id).successful()

        def test_nothing_is_left(db):
            assert not Order.objects.exists()
        """
    ).assert_outcomes(passed=6)


def test_the_email_reaches_the_browser(shop):
    shop(
        """
        async def test_it(order, async_client, task_queue, websocket):
            async with websocket(f"/ws/rooms/order-{order.id}/") as browser:
                await async_client.post(f"/orders/{order.id}/confirm/")
                await task_queue.arun()
                assert await browser.receive_json() == {"text": "confirmed"}

        async def test_nothing_is_left(db):
            assert await Order.objects.acount() == 0
        """
    ).assert_outcomes(passed=2)


def test_a_failure_tells_the_whole_story(shop):
    result = shop(
        """
        async def test_it(order, async_client, task_queue, websocket):
            async with websocket(f"/ws/rooms/order-{order.id}/") as browser:
                await async_client.post(f"/orders/{order.id}/confirm/")
                await task_queue.arun()
                assert await browser.receive_json() == {"text": "refused"}
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "*Behind the request*",
            "*confirm_order*shop/views.py:*",
            "*confirm_order*",
            "*order-*room.message*shop/tasks.py:*",
            "*room_message*",
        ]
    )


def test_a_group_send_that_reaches_no_one_is_a_warning_at_its_line(shop):
    result = shop(
        """
        async def test_it(db, task_queue, websocket):
            async with websocket("/ws/rooms/somebody/"):
                tell_nobody.delay()
                await task_queue.arun()
        """,
        "-W",
        "default",
    )
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*shop/tasks.py:*nobody*"])
