"""Who enqueues what: by which method, through which imports, and what stands around it."""

from __future__ import annotations

import pytest

TASKS = """
from celery import shared_task

@shared_task
def send(invoice_id, copy=False): ...

@shared_task(bind=True)
def total(self, month=None): ...
"""


def short(site):
    return (site.place.inside, site.kind, site.method, site.task)


@pytest.mark.parametrize(
    ("imports", "target"),
    [
        ("from shop.tasks import send", "send"),
        ("from shop.tasks import send as post", "post"),
        ("from .tasks import send", "send"),
        ("from . import tasks", "tasks.send"),
        ("import shop.tasks", "shop.tasks.send"),
        ("import shop.tasks as work", "work.send"),
        ("from shop import work", "work.send"),
        ("from shop import again", "again"),
        ("from shop.work import *", "send"),
        ("import shop.tasks\npost = shop.tasks.send", "post"),
        ("from shop.missing import gone", "shop.tasks.send"),
    ],
)
def test_a_task_is_found_through_imports(read, imports, target):
    imports = imports if target != "shop.tasks.send" else f"{imports}\nimport shop.tasks"
    index = read(
        shop____init__="from shop.tasks import send as again",
        shop__work="from .tasks import send",
        shop__tasks=TASKS,
        shop__views=f"{imports}\ndef view(): {target}.delay(7)",
    )
    (site,) = index.enqueues
    assert (site.task, site.resolved, site.target) == ("shop.tasks.send", True, target)
    assert site.key == "enqueue:shop.views.view->shop.tasks.send#1"


def test_an_import_within_the_function_counts_there_and_only_there(read):
    index = read(
        shop__tasks=TASKS,
        shop__views="""
        def view():
            from .tasks import send
            send.delay(7)

        def other(send):
            send.delay(7)

        def third():
            from .tasks import total as send
            send.apply_async()
        """,
    )
    assert [(site.place.inside, site.task) for site in index.enqueues] == [
        ("view", "shop.tasks.send"),
        ("other", None),
        ("third", "shop.tasks.total"),
    ]


def test_every_method_has_its_kind(read):
    index = read(
        shop__views="""
        from .tasks import send
        def view():
            send.delay(1)
            send.apply_async((1,), countdown=3)
            send.delay_on_commit(1)
            send.apply_async_on_commit(args=[1])
            send.s(1)
            send.si(1)
            send.signature((1,), countdown=2)
            send.map([1, 2])
            send.chunks([(1,)], 10)
            send.apply((1,))
            send.run(1)
            send(1)
        """,
        shop__tasks=TASKS,
    )
    assert [(site.kind, site.method) for site in index.enqueues] == [
        ("enqueue", "delay"),
        ("enqueue", "apply_async"),
        ("enqueue", "delay_on_commit"),
        ("enqueue", "apply_async_on_commit"),
        ("signature", "s"),
        ("signature", "si"),
        ("signature", "signature"),
        ("signature", "map"),
        ("signature", "chunks"),
        ("direct", "apply"),
    ]
    assert [site.method for site in index.enqueues if site.around.in_on_commit] == [
        "delay_on_commit",
        "apply_async_on_commit",
    ]
    assert [site.key[-2:] for site in index.enqueues] == [f"#{n}" for n in range(1, 10)] + ["10"]


def test_arguments_are_told_apart_from_options(read):
    index = read(
        shop__views="""
        from .tasks import send
        def view(pk, rest, options):
            send.delay(pk, copy=True)
            send.apply_async((pk,), {"copy": True}, countdown=60, queue="mail")
            send.apply_async(args=rest, kwargs=dict(copy=False))
            send.delay(*rest, **options)
            send.apply_async(**options)
        """,
        shop__tasks=TASKS,
    )
    given = [(one.arguments.positional, one.arguments.named, one.arguments.options) for one in index.enqueues]
    assert given == [
        (("pk",), {"copy": "True"}, {}),
        (("pk",), {"copy": "True"}, {"countdown": "60", "queue": "'mail'"}),
        (None, {"copy": "False"}, {}),
        (None, None, {}),
        (None, None, {}),
    ]


def test_what_stands_around_a_call_is_told(read):
    index = read(
        shop__views="""
        from functools import partial
        from django.db import transaction
        from .tasks import send

        def view(ids):
            with transaction.atomic():
                send.delay(1)
                transaction.on_commit(lambda: send.delay(2))
                transaction.on_commit(partial(send.delay, 3))
                transaction.on_commit(send.delay)
            for pk in ids:
                send.delay(pk)
            [send.delay(pk) for pk in ids]
            try:
                send.delay(4)
            except OSError:
                send.delay(5)

        @transaction.atomic
        def decorated():
            def later():
                send.delay(6)
            transaction.on_commit(later)
            send.delay(7)

        class View:
            @method_decorator(transaction.atomic(using="other"))
            def post(self):
                try:
                    send.delay(9)
                except* OSError: ...

        async def asynchronous():
            await send.adelay(8)
            send.delay(8)
        """,
        shop__tasks=TASKS,
    )
    told = [
        (site.place.line, site.called, sorted(name for name, is_so in vars(site.around).items() if is_so))
        for site in index.enqueues
    ]
    assert told == [
        (8, True, ["in_atomic"]),
        (9, True, ["in_atomic", "in_lambda", "in_on_commit"]),
        (10, False, ["in_atomic", "in_on_commit"]),
        (11, False, ["in_atomic", "in_on_commit"]),
        (13, True, ["in_loop"]),
        (14, True, ["in_loop"]),
        (16, True, ["in_try"]),
        (18, True, []),
        (23, True, ["in_on_commit"]),
        (25, True, ["in_atomic"]),
        (31, True, ["in_atomic", "in_try"]),
        (36, True, ["in_async"]),
    ]
    assert index.enqueues[2].arguments.positional == ("3",)


def test_a_name_sent_to_the_app_is_a_task_of_that_name(read):
    index = read(
        shop__views="""
        from functools import partial
        from celery import current_app, signature
        from django.db import transaction
        NAME = "shop.tasks.send"
        def view(name):
            current_app.send_task("shop.tasks.send", args=[7], queue="mail")
            current_app.send_task(NAME)
            current_app.send_task("elsewhere.task")
            current_app.send_task(name)
            current_app.signature("shop.tasks.total").delay()
            signature("shop.tasks.total", args=(1,))
            current_app.tasks["shop.tasks.send"].delay(3)
            transaction.on_commit(partial(current_app.send_task, "shop.tasks.send"))
        """,
        shop__tasks=TASKS,
    )
    told = [(site.place.line, site.kind, site.method, site.task, site.resolved) for site in index.enqueues]
    assert told == [
        (7, "enqueue", "send_task", "shop.tasks.send", True),
        (8, "enqueue", "send_task", "shop.tasks.send", True),
        (9, "enqueue", "send_task", "elsewhere.task", False),
        (10, "enqueue", "send_task", None, False),
        (11, "enqueue", "delay", "shop.tasks.total", True),
        (11, "signature", "signature", "shop.tasks.total", True),
        (12, "signature", "signature", "shop.tasks.total", True),
        (13, "enqueue", "delay", "shop.tasks.send", True),
        (14, "enqueue", "send_task", "shop.tasks.send", True),
    ]
    assert index.enqueues[0].arguments.positional == ("7",)
    assert index.enqueues[0].arguments.options == {"queue": "'mail'"}


def test_signatures_know_the_workflow_that_they_are_written_into(read):
    index = read(
        shop__views="""
        import itertools
        from celery import chain, chord, group
        from .tasks import send, total
        def view(ids):
            chain(send.s(1), total.si())()
            group(send.s(pk) for pk in ids).apply_async()
            chord([send.s(pk) for pk in ids])(total.s())
            (send.s(1) | total.s()).delay()
            itertools.chain([send.s(1)], [])
            signature = send.s(1).set(queue="mail")
            signature.apply_async()
            flags = 1 | 2
            flags.delay()
        """,
        shop__tasks=TASKS,
    )
    told = [(one.place.line, one.kind, one.workflow or one.applied, one.task) for one in index.enqueues]
    assert [one for one in told if one[1] == "signature"] == [
        (6, "signature", "chain", "shop.tasks.send"),
        (6, "signature", "chain", "shop.tasks.total"),
        (7, "signature", "group", "shop.tasks.send"),
        (8, "signature", "chord", "shop.tasks.send"),
        (8, "signature", "chord", "shop.tasks.total"),
        (9, "signature", "chain", "shop.tasks.send"),
        (9, "signature", "chain", "shop.tasks.total"),
        (10, "signature", "", "shop.tasks.send"),
        (11, "signature", "", "shop.tasks.send"),
    ]
    assert [one for one in told if one[1] == "workflow"] == [
        (6, "workflow", "chain", None),
        (7, "workflow", "group", None),
        (8, "workflow", "chord", None),
        (9, "workflow", "chain", None),
    ]
    assert (12, "enqueue", "", "shop.tasks.send") in told


def test_callbacks_and_errbacks_are_told(read):
    index = read(
        shop__views="""
        from celery import chord
        from .tasks import send, total
        def view():
            send.apply_async((1,), link=total.s(), link_error=[total.si()])
            chord([send.s(1)], total.s()).on_error(total.s()).delay()
            send.s(1).link(total.s())
            app.add_periodic_task(10, total.s())
        """,
        shop__tasks=TASKS,
    )
    told = [(one.place.line, one.task[11:], one.callback) for one in index.enqueues if one.kind == "signature"]
    assert told == [
        (5, "total", "link"),
        (5, "total", "link_error"),
        (6, "send", ""),
        (6, "total", ""),
        (6, "total", "link_error"),
        (7, "send", ""),
        (7, "total", "link"),
        (8, "total", "beat"),
    ]


def test_a_function_that_makes_a_workflow_is_named(read):
    index = read(
        shop__tasks=TASKS
        + """
from celery import chain
def whole_way(pk): return chain(send.s(pk), total.si())
def number(): return 7
""",
        shop__views="""
        from django.db import transaction
        from .tasks import number, whole_way
        def view(pk):
            whole_way(pk).delay()
            transaction.on_commit(whole_way(pk).delay)
            number().delay()
        """,
    )
    told = [(one.key, one.kind, one.called) for one in index.enqueues if one.builder]
    assert told == [
        ("enqueue:shop.views.view->shop.tasks.whole_way#1", "workflow", True),
        ("enqueue:shop.views.view->shop.tasks.whole_way#2", "workflow", False),
    ]


@pytest.mark.parametrize(
    "source",
    [
        "import time\nclass A:\n    delay = 3\n    def f(self): time.sleep(self.delay)",
        "class A:\n    def delay(self, n): ...\n    def f(self): self.delay(3)",
        "class Timer:\n    def delay(self): ...\ndef f(): Timer.delay()",
        "def f(frame): return frame.map(str), frame.s, frame.signature()",
        "import inspect\ndef f(g): return inspect.signature(g)",
        "from shop.tasks import send\ndef test(mock): send.delay.assert_called_once_with(7)",
        "# send.delay(7)\nTEXT = 'send.delay(7)'",
        "def helper(): ...\ndef f(): helper.delay()",
        "from celery import shared_task\ndef f(client): client.retry()",
    ],
)
def test_what_only_looks_like_it_is_no_enqueue(read, source):
    assert read(shop__tasks=TASKS, shop__views=source).enqueues == ()


@pytest.mark.parametrize(
    ("body", "known"),
    [
        ("task = send\ntask.delay()", True),
        ("if copy:\n    task = send\nelse:\n    task = total\ntask.delay()", False),
        ("task = send\nif copy:\n    task = total\ntask.delay()", False),
        ("try:\n    task = send\nexcept OSError: ...\ntask.delay()", True),
        ("for task in (send, total): task.delay()", False),
        ("if (task := send): task.delay()", True),
        ("task = task.delay()", False),
    ],
)
def test_a_variable_is_followed_where_one_assignment_alone_can_have_made_it(read, body, known):
    lines = "\n".join(f"    {line}" for line in body.splitlines())
    index = read(shop__tasks=TASKS, shop__views=f"from .tasks import send, total\ndef view(copy):\n{lines}")
    assert [site.task for site in index.enqueues] == ["shop.tasks.send" if known else None]


def test_keys_survive_moved_lines(read):
    views = "from .tasks import send\ndef view():\n    send.delay(1)\n    send.delay(2)\n"
    before = read(shop__tasks=TASKS, shop__views=views)
    after = read(shop__tasks="\n\n" + TASKS, shop__views="import os\n\n\n" + views)
    assert [site.key for site in before.enqueues] == [site.key for site in after.enqueues]
    assert [site.place.line for site in before.enqueues] != [site.place.line for site in after.enqueues]
    assert [task.key for task in before.tasks.values()] == [task.key for task in after.tasks.values()]


def test_the_places_of_one_task_can_be_asked_for(read):
    index = read(
        shop__tasks=TASKS,
        shop__views="from .tasks import send, total\ndef view():\n    send.delay(1)\n    total.delay()\n",
    )
    assert [str(site) for site in index.enqueues_of("shop.tasks.total")] == ["shop.tasks.total (shop/views.py:4)"]
