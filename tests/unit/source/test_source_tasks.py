"""Which functions and classes are tasks, under which names, with what options."""

from __future__ import annotations

import pytest


def names(index):
    return list(index.tasks)


def test_a_shared_task_has_the_name_of_its_module_and_function(read):
    index = read(
        shop__tasks="""
        from celery import shared_task

        @shared_task
        def send(invoice_id, *, copy=False): ...
        """
    )
    task = index.tasks["shop.tasks.send"]
    assert (task.key, task.dotted, task.kind, task.bound) == (
        "task:shop.tasks.send",
        "shop.tasks.send",
        "function",
        False,
    )
    assert (task.place.path, task.place.line, task.place.function) == ("shop/tasks.py", 5, "shop.tasks")
    assert [(one.name, one.kind, one.default) for one in task.parameters] == [
        ("invoice_id", "positional", None),
        ("copy", "keyword_only", "False"),
    ]


def test_options_are_kept_as_values_and_as_they_are_written(read):
    index = read(
        shop__tasks="""
        from celery import shared_task
        from shop.errors import Later

        @shared_task(bind=True, name="send-it", max_retries=None, autoretry_for=(Later,), time_limit=2 * 60)
        def send(self, invoice_id): ...
        """
    )
    task = index.tasks["send-it"]
    assert (task.bound, task.name_known, [one.name for one in task.parameters]) == (True, True, ["invoice_id"])
    assert task.option_sources == {"max_retries": "None", "autoretry_for": "(Later,)", "time_limit": "2 * 60"}
    assert task.options["max_retries"] is None
    assert task.may_retry


def test_the_app_of_the_project_makes_tasks_wherever_it_comes_from(read):
    index = read(
        config__celery="""
        from celery import Celery
        app = Celery("shop")

        @app.task
        def debug(): ...
        """,
        config____init__="from .celery import app as celery_app",
        shop__tasks="""
        from config import celery_app
        from config.celery import app
        import config.celery as where
        from celery import current_app

        @celery_app.task(bind=True)
        def one(self): ...

        @app.task()
        def two(): ...

        @where.app.task
        def three(): ...

        @current_app.task
        def four(): ...
        """,
    )
    assert names(index) == [
        "config.celery.debug",
        *(f"shop.tasks.{name}" for name in ("four", "one", "three", "two")),
    ]


def test_an_app_that_is_made_by_a_subclass_or_a_function_counts(read):
    index = read(
        config__base="""
        import celery
        class App(celery.Celery): ...
        def make_celery(name): return App(name)
        """,
        config__app="""
        from .base import App, make_celery
        queue = App("shop")
        other = make_celery("other")
        """,
        shop__tasks="""
        from config.app import other, queue

        @queue.task
        def one(): ...

        @other.task
        def two(): ...
        """,
    )
    assert names(index) == ["shop.tasks.one", "shop.tasks.two"]


def test_a_decorator_of_the_project_that_returns_celerys_counts(read):
    index = read(
        shop__decorators="""
        from celery import shared_task

        def polite_task(**options):
            return shared_task(max_retries=3, **options)
        """,
        shop__tasks="""
        from .decorators import polite_task

        @polite_task()
        def send(): ...
        """,
    )
    assert names(index) == ["shop.tasks.send"]


@pytest.mark.parametrize(
    "source",
    [
        "from huey import huey\n@huey.task()\ndef send(): ...",
        "from invoke import task\n@task\ndef send(): ...",
        "from procrastinate import App\napp = App()\n@app.task\ndef send(): ...",
        "from django_rq import job\n@job\ndef send(): ...\ndef f(): send.delay()",
        "from celery import shared_task\ndef send(): ...",
        "class App:\n    def task(self, f): ...\napp = App()\n@app.task\ndef send(): ...  # celery",
    ],
)
def test_other_libraries_tasks_are_not_celerys(read, source):
    index = read(shop__tasks=source)
    assert names(index) == []
    assert index.enqueues == ()


def test_a_task_that_is_assigned_is_found_under_both_of_its_names(read):
    index = read(
        shop__tasks="""
        from celery import shared_task

        def _send(invoice_id): ...
        send = shared_task(name="shop.send")(_send)

        def view(): send.delay(1)
        """
    )
    assert names(index) == ["shop.send"]
    assert [site.task for site in index.enqueues] == ["shop.send"]


def test_a_class_with_run_is_a_task_and_its_bases_are_not(read):
    index = read(
        shop__base="""
        from celery import Task
        class Logged(Task):
            def on_failure(self, *args): ...
        """,
        shop__tasks="""
        from config.celery import app
        from .base import Logged

        class Send(Logged):
            name = "shop.send"
            max_retries = 5
            def run(self, invoice_id, copy=False): self.retry()

        class Abstract(Logged):
            abstract = True
            def run(self): ...

        class Loose(Logged):
            def run(self): ...

        send = app.register_task(Send())

        def view():
            send.delay(1)
            Send().apply_async((1,))
        """,
        config__celery="from celery import Celery\napp = Celery()",
    )
    assert [(task.name, task.registered) for task in index.tasks.values()] == [
        ("shop.send", True),
        ("shop.tasks.Loose", False),
    ]
    task = index.tasks["shop.send"]
    assert (task.kind, task.base, task.bound, task.options) == ("class", "shop.base.Logged", True, {"max_retries": 5})
    assert ([one.name for one in task.parameters], task.calls_retry) == (["invoice_id", "copy"], (8,))
    assert [(site.task, site.method) for site in index.enqueues if site.kind == "enqueue"] == [
        ("shop.send", "delay"),
        ("shop.send", "apply_async"),
    ]


@pytest.mark.parametrize(
    ("imports", "base", "is_task"),
    [
        ("from celery import Task", "Task", True),
        ("from celery.app.task import Task", "Task", True),
        ("from celery.contrib.abortable import AbortableTask", "AbortableTask", True),
        ("import celery", "celery.Task", True),
        ("from celery import Celery\napp = Celery()", "app.Task", True),
        ("from luigi import Task  # celery", "Task", False),
        ("from shop.models import Task  # celery", "Task", False),
    ],
)
def test_a_class_is_a_task_by_its_base(read, imports, base, is_task):
    index = read(
        shop__tasks=f"{imports}\nclass Send({base}):\n    def run(self): ...\n", shop__models="class Task: ..."
    )
    assert names(index) == (["shop.tasks.Send"] if is_task else [])


def test_what_a_body_does_about_retries_is_told(read):
    index = read(
        shop__tasks="""
        from celery import current_task, shared_task
        from celery.exceptions import Retry

        @shared_task(bind=True)
        def one(self):
            try: ...
            except OSError as error:
                raise self.retry(exc=error)

        @shared_task
        def two(): current_task.retry()

        @shared_task
        def three(): raise Retry("later")

        @shared_task
        def four(client): client.retry()

        @shared_task(autoretry_for=())
        def five(): ...
        """
    )
    tasks = index.tasks.values()
    assert {task.name[11:]: (task.calls_retry, task.raises_retry, task.may_retry) for task in tasks} == {
        "one": ((9,), (9,), True),
        "two": ((12,), (), True),
        "three": ((), (15,), True),
        "four": ((), (), False),
        "five": ((), (), False),
    }
    assert [site.task[11:] for site in index.enqueues if site.kind == "retry"] == ["one", "two"]


def test_a_name_that_is_computed_is_said_to_be_unknown_and_a_constant_is_followed(read):
    index = read(
        shop__names='SEND = "shop.send"',
        shop__tasks="""
        from celery import shared_task
        from .names import SEND

        @shared_task(name=SEND)
        def one(): ...

        @shared_task(name=prefix() + "two")
        def two(): ...
        """,
    )
    assert [(task.name, task.name_known) for task in index.tasks.values()] == [
        ("shop.send", True),
        ("shop.tasks.two", False),
    ]


def test_two_definitions_of_one_name_are_told(read):
    index = read(
        shop__a='from celery import shared_task\n@shared_task(name="send")\ndef a(): ...',
        shop__b='from celery import shared_task\n@shared_task(name="send")\ndef b(): ...',
    )
    assert index.tasks["send"].dotted == "shop.a.a"
    assert [task.dotted for task in index.duplicates] == ["shop.b.b"]


def test_an_async_body_is_told(read):
    index = read(shop__tasks="from celery import shared_task\n@shared_task\nasync def send(): ...")
    assert index.tasks["shop.tasks.send"].is_async
