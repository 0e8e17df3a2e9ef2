"""A real worker process for the project's app, on the test's database."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.celery_integration

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""


def test_it_runs_tasks_on_the_tests_database_and_leaves_everything_as_before(project):
    project.settings(FILE_DATABASE)
    result = project.test(
        """
        import os, time
        import pytest
        from config import celery_app as app
        from shop.models import Order
        from shop.tasks import add, confirm_order, fail

        def state():
            return dict(app.conf.changes), len(app.conf.maps), app._pool, app._backend_cache, dict(os.environ)

        @pytest.fixture(autouse=True)
        def as_before():
            app.conf.finalize()
            before = state()
            yield
            after = state()
            after[-1].pop("PYTEST_CURRENT_TEST"), before[-1].pop("PYTEST_CURRENT_TEST")
            assert before == after

        def test_a_task_changes_the_row(worker_process):
            order = Order.objects.create(reference="A")
            worker = worker_process()
            assert confirm_order.delay(order.pk).get(timeout=20) == order.pk
            order.refresh_from_db()
            assert order.confirmed
            assert "confirm_order" in worker.log

        def test_b_rabbitmq_with_results_in_redis(worker_process, rabbitmq_server):
            worker_process()
            assert app.conf.broker_url == rabbitmq_server.url
            assert add.delay(1, 2).get(timeout=20) == 3

        @pytest.mark.parametrize("pool", ["solo", "threads"])
        def test_c_pools(worker_process, pool):
            worker = worker_process(pool=pool, concurrency=2)
            assert add.delay(1, 2).get(timeout=20) == 3
            assert worker.children == []

        def test_d_queues(worker_process):
            worker_process(queues=["other"])
            waiting = add.delay(1, 2)
            assert add.apply_async((2, 2), queue="other").get(timeout=20) == 4
            assert waiting.state == "PENDING"

        def test_e_the_next_test_sees_no_message_of_the_last(worker_process):
            worker = worker_process()
            assert add.delay(1, 2).get(timeout=20) == 3
            assert worker.log.count("received") == 1

        def test_g_warm_stop_and_start(worker_process):
            worker = worker_process()
            assert worker.running and len(worker.children) == 1
            worker.stop()
            assert not worker.running and worker.exit_code == 0
            waiting = add.delay(1, 2)
            worker.start()
            assert waiting.get(timeout=20) == 3

        def test_h_pause(worker_process):
            worker = worker_process()
            worker.pause()
            waiting = add.delay(1, 2)
            time.sleep(0.3)
            assert waiting.state == "PENDING"
            worker.resume()
            assert waiting.get(timeout=20) == 3

        def test_i_its_log_is_in_the_report(worker_process):
            worker_process()
            fail.delay("mark of the task").get(timeout=20)

        def test_j_a_bad_argument(worker_process):
            worker_process(pool="preforked")

        def test_k_a_worker_that_does_not_start(worker_process):
            worker_process(arguments=["--nonsense"])
        """,
    )
    result.assert_outcomes(passed=8, failed=3)
    result.stdout.fnmatch_lines(["*Log of worker*", "*mark of the task*"])
    result.stdout.fnmatch_lines(["*worker_process(pool='preforked'): choose one of 'prefork', 'solo'*"])
    result.stdout.fnmatch_lines(["*ended before it was ready (exit code 2)*", "*No such option*--nonsense*"])


def test_an_in_memory_sqlite_is_an_error_with_the_remedy(project):
    result = project.test(
        """
        def test_it(worker_process):
            worker_process()
        """
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*test database 'default' is an SQLite in memory*", '*"TEST"] = {"NAME":*'])


def test_conf_reaches_what_celery_writes_into_the_tasks_when_it_binds_them(project):
    """``task_acks_late`` and its like: read once, where the project is imported, by one process for all workers."""
    project.settings(FILE_DATABASE)
    project.write(
        "shop/bound.py",
        """
        from celery import Task, shared_task

        class Slow(Task):
            time_limit = 77

        def own(task):
            return [task.acks_late, task.reject_on_worker_lost, task.time_limit, task.ignore_result]

        @shared_task(bind=True)
        def plain(self):
            return own(self)

        @shared_task(bind=True, acks_late=False, reject_on_worker_lost=False, base=Slow)
        def decided(self):
            return own(self)
        """,
    )
    with (project.path / "shop" / "tasks.py").open("a") as tasks:
        tasks.write("\nfrom shop.bound import decided, plain\n")
    result = project.test(
        """
        from shop.tasks import decided, plain

        def test_a_of_this_worker(worker_process):
            worker_process(conf={"task_acks_late": True, "task_reject_on_worker_lost": True, "task_time_limit": 30})
            assert plain.delay().get(timeout=20) == [True, True, 30, False]
            assert decided.delay().get(timeout=20) == [False, False, 77, False]  # what the task itself says stands

        def test_b_not_of_the_next(worker_process):
            worker_process()
            assert plain.delay().get(timeout=20) == [False, None, None, False]
        """
    )
    result.assert_outcomes(passed=2)
