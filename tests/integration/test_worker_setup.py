"""What does not cross a process: patches are told, and a hook runs project code in the worker."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.celery_integration

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""
TASKS = """

def book():
    return "real"


@shared_task
def ship():
    return book()
"""
SUPPORT = """
    from contextlib import contextmanager
    from unittest.mock import patch
    import shop.tasks

    @contextmanager
    def fake_carrier():
        with patch("shop.tasks.book", return_value="fake"):
            yield

    def plain():
        shop.tasks.book = lambda: "plain"
"""


def test_patches_and_the_hook(project):
    project.settings(FILE_DATABASE)
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + TASKS)
    project.write("support_worker.py", SUPPORT)
    result = project.test(
        """
        import pytest
        from unittest.mock import patch
        import support_worker
        from shop import tasks

        def results(task_queue):
            tasks.ship.delay()
            task_queue.run()
            return [done.result for done in task_queue.succeeded]

        @pytest.mark.task_queue(broker=["stepped", "redis"], setup="support_worker:fake_carrier")
        def test_at_both_levels(db, task_queue):
            assert results(task_queue) == ["fake"]

        @pytest.mark.task_queue(broker="stepped", setup=support_worker.plain)
        def test_what_is_not_undone_runs_elsewhere_only(db, task_queue):
            assert results(task_queue) == ["real"]

        def test_by_hand(worker_process):
            worker_process(setup=support_worker.plain)
            assert tasks.ship.delay().get(timeout=20) == "plain"

        @pytest.mark.task_queue(broker="redis")
        def test_patch(db, task_queue):
            with patch("shop.tasks.book", return_value="mock"):
                assert results(task_queue) == ["real"]

        @pytest.mark.task_queue(broker="redis")
        def test_monkeypatch(db, monkeypatch, task_queue):
            monkeypatch.setattr(tasks, "book", lambda: "patched")
            assert results(task_queue) == ["real"]

        @pytest.mark.task_queue(broker="redis")
        @patch("json.dumps")
        def test_of_a_library(dumps, db, task_queue): ...

        @pytest.mark.parametrize(("setup", "text"), [
            ("support_worker", "write it as 'package.module:function'"),
            ("nowhere.at_all:x", "the module can't be imported"),
            ("support_worker:fak", "support_worker has no 'fak'"),
            (lambda: None, "another process has to find it by its name"),
        ])
        def test_wrong(worker_process, setup, text):
            with pytest.raises(Exception) as caught:
                worker_process(setup=setup)
            assert text in str(caught.value)
        """
    )
    result.assert_outcomes(passed=9, failed=2)
    result.stdout.fnmatch_lines(
        [
            "*BackchannelWarning: shop.tasks.book is patched by unittest.mock.patch while a worker process runs*",
            "*BackchannelWarning: shop.tasks.book is patched by monkeypatch while a worker process runs*",
        ]
    )
