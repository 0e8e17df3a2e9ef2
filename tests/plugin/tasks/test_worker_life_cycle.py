"""What a worker runs when it starts: plain boot steps do run; what does not is told in the test that fails."""

from __future__ import annotations

PROJECT = """
from celery import bootsteps
from celery.signals import after_task_publish, task_prerun, task_unknown, worker_init, worker_process_init, worker_ready
from django.db import close_old_connections

ran = []


class Receivers:
    def published(self, **kwargs):
        ran.append("published")

    def prerun(self, **kwargs):
        ran.append("prerun")


class Setup(bootsteps.Step):
    requires = {"celery.worker.components:Timer"}

    def __init__(self, parent, **kwargs):
        ran.append("setup")
        self.receivers = Receivers()
        task_prerun.connect(self.receivers.prerun)
        after_task_publish.connect(self.receivers.published)
        task_unknown.connect(lambda **kwargs: None, weak=False)


class Probe(bootsteps.StartStopStep):
    requires = {"celery.worker.components:Timer"}

    def start(self, worker):
        ran.append("probe")
        worker.timer.call_repeatedly(1, lambda: None)


class OnProbe(bootsteps.Step):
    requires = {Probe}

    def __init__(self, parent, **kwargs):
        ran.append("on probe")


app.steps["worker"].update({Setup, Probe, OnProbe})


@worker_process_init.connect
def open_pool(**kwargs):
    ran.append("pool")


@worker_ready.connect(weak=False)
def say_ready(**kwargs):
    ran.append("ready")


worker_init.connect(close_old_connections)  # not the project's
"""


def test_plain_boot_steps_run_and_the_rest_is_named_where_a_test_fails(project):
    celery = project.path / "config" / "celery.py"
    celery.write_text(celery.read_text() + PROJECT)
    lines = celery.read_text().splitlines()
    result = project.test(
        """
        import pytest
        from celery.signals import task_prerun, task_unknown
        from config.celery import Probe, Setup, app, ran
        from shop.tasks import add, fail

        @pytest.fixture(autouse=True)
        def as_before():
            ran.clear()
            steps = {name: set(found) for name, found in app.steps.items() if found}
            before = len(task_prerun.receivers), len(task_unknown.receivers)
            yield
            assert before == (len(task_prerun.receivers), len(task_unknown.receivers))
            assert steps == {name: set(found) for name, found in app.steps.items() if found}

        def test_a(task_queue):
            add.delay(1, 1)
            add.delay(1, 1)
            task_queue.run_until_idle()
            assert ran == ["setup", "prerun", "prerun"]
            add.delay(1, 1)  # published by the test, and not by the worker
            task_queue.run_until_idle()
            assert ran == ["setup", "prerun", "prerun", "prerun"]

        def test_b_killed(task_queue):
            task_queue.kill_worker(when="after_body")
            add.delay(1, 1)
            add.delay(1, 1)
            task_queue.run_until_idle()
            assert ran == ["setup", "prerun", "setup", "prerun"]

        def test_c_fails(task_queue):
            fail.delay()
            task_queue.run()
        """,
        "-p",
        "no:randomly",
    )
    result.assert_outcomes(passed=2, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*not run on the stepped worker: worker_process_init: open_pool() (a test that needs it calls it in a "
            f"fixture)*[[]config/celery.py:{lines.index('@worker_process_init.connect') + 1}]",
            "*not run on the stepped worker: worker_ready: say_ready() *",
            "*not run on the stepped worker: boot step config.celery.OnProbe *",
            "*not run on the stepped worker: boot step config.celery.Probe *"
            f"[[]config/celery.py:{lines.index('    def start(self, worker):') + 1}]",
        ]
    )
    assert "close_old" not in "".join(line for line in result.outlines if "not run on" in line)


def test_nothing_is_said_where_the_project_has_none(project):
    result = project.test(
        """
        from shop.tasks import fail

        def test_it(task_queue):
            fail.delay()
            task_queue.run()
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*not run on the stepped worker*")
