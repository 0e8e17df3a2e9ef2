"""A RabbitMQ that somebody else runs: a virtual host for each process of the run, and nothing left in it."""

from __future__ import annotations

import json
import time

import kombu
import pytest

from pytest_backchannel.servers.brokers.external import ExternalRabbitMQ
from pytest_backchannel.servers.brokers.rabbitmq import start_rabbitmq
from pytest_backchannel.servers.process import free_port

pytestmark = [pytest.mark.celery_integration, pytest.mark.slow]

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""
VHOSTS = ("main", "gw0", "gw1")
# Everything that a client can leave; the broker's own exchanges are in every virtual host.
LEFT = """
    [{Vhost, Kind, Name} || {resource, Vhost, Kind, Name} <-
        [amqqueue:get_name(Queue) || Queue <- rabbit_amqqueue:list()] ++
        [element(2, Exchange) || Vhost <- rabbit_vhost:list_names(), Exchange <- rabbit_exchange:list(Vhost)],
        Name =/= <<>>, binary:longest_common_prefix([Name, <<"amq.">>]) < 4].
"""


class Given:
    """A RabbitMQ that is somebody else's for the runs of these tests, with a virtual host for each process."""

    def __init__(self, server, folder):
        self.server = server
        definitions = folder / "definitions.json"
        definitions.write_text(
            json.dumps(
                {
                    "vhosts": [{"name": name} for name in (*VHOSTS, "closed")],
                    "permissions": [
                        {"user": "guest", "vhost": name, "configure": ".*", "write": ".*", "read": ".*"}
                        for name in VHOSTS
                    ],
                }
            )
        )
        server.rabbitmqctl("import_definitions", str(definitions))

    def url(self, vhost, user="guest:guest", port=None):
        return f"amqp://{user}@127.0.0.1:{port or self.server.port}/{vhost}"

    def option(self, vhost, **values):
        return f"--backchannel-rabbitmq-url={self.url(vhost, **values)}"

    def left(self):
        return self.server.rabbitmqctl("eval", " ".join(LEFT.split())).strip()


@pytest.fixture(scope="module")
def given(tmp_path_factory):
    server = start_rabbitmq()
    yield Given(server, tmp_path_factory.mktemp("given"))
    server.close()


TASKS = """

@shared_task
def outer():
    add.apply_async((1, 1), queue="of the worker")
    return "sent"
"""
TESTS = """
    import os
    import kombu
    import pytest
    from amqp.exceptions import NotFound
    from config import celery_app as app
    from shop.tasks import add, outer

    def test_a_tasks_run_and_no_other_processes_tasks(worker_process):
        worker = worker_process(broker="rabbitmq")
        assert app.conf.broker_url.endswith("/" + os.environ["PYTEST_XDIST_WORKER"])
        assert [add.delay(i, 1).get(timeout=20) for i in range(5)] == [1, 2, 3, 4, 5]
        assert worker.log.count("] received") == 5

    def test_b_messages_that_wait_in_the_default_queue(worker_process):
        worker = worker_process(broker="rabbitmq")
        worker.kill()
        for i in range(3):
            add.delay(i, 1)

    def test_c_messages_in_queues_that_the_test_or_the_worker_alone_uses(worker_process):
        worker_process(broker="rabbitmq")
        add.apply_async((1, 1), queue="of the test")
        assert outer.delay().get(timeout=20) == "sent"

    def test_d_a_worker_that_is_killed_with_messages_in_hand(worker_process):
        worker = worker_process(broker="rabbitmq", conf={"task_acks_late": True})
        add.apply_async((1, 1), countdown=600)
        add.delay(1, 1).get(timeout=20)
        worker.kill()

    def test_e_a_worker_of_all_these_queues_gets_nothing(worker_process):
        worker = worker_process(broker="rabbitmq", queues=["celery", "of the test", "of the worker"])
        assert add.delay(1, 1).get(timeout=20) == 2
        assert worker.log.count("] received") == 1

    @pytest.mark.task_queue(broker="rabbitmq")
    def test_f_what_the_task_queue_leaves(db, task_queue):
        add.apply_async((1, 1), countdown=600)
        add.apply_async((1, 1), queue="of the test")
        outer.delay()
        assert task_queue.run() == {"SUCCESS": 3}
        add.delay(1, 1)

    @pytest.mark.task_queue(broker="rabbitmq", queues=["celery", "of the test", "of the worker"])
    def test_g_does_not_reach_the_next(db, task_queue):
        add.delay(1, 1)
        assert task_queue.run() == {"SUCCESS": 1}

    def test_h_what_the_test_itself_puts_there(rabbitmq_server):
        with kombu.Connection(rabbitmq_server.url) as connection:
            exchange = kombu.Exchange("of the test itself", "topic")
            queue = kombu.Queue("of the test itself", exchange, routing_key="#")
            for _ in range(2):
                connection.Producer().publish({"a": 1}, exchange=exchange, routing_key="a", declare=[queue])
            with connection.SimpleQueue(queue) as simple:
                assert simple.get(timeout=20).payload == {"a": 1}

    def test_i_nor_that_either(rabbitmq_server):
        with kombu.Connection(rabbitmq_server.url) as connection:
            for declare in ("queue_declare", "exchange_declare"):
                options = {} if declare == "queue_declare" else {"type": "topic"}
                with pytest.raises(NotFound):
                    getattr(connection.channel(), declare)("of the test itself", passive=True, **options)

    def test_j_control_is_refused(rabbitmq_server):
        from pytest_backchannel.errors import BackchannelError
        for control in ("stop", "start", "restart", "kill", "pause", "resume", "cut_connections"):
            with pytest.raises(BackchannelError, match="can't stop, start, pause or kill it"):
                getattr(rabbitmq_server, control)()
"""


def project_with_tasks(project):
    project.settings(FILE_DATABASE)
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + TASKS)


def test_each_xdist_worker_has_its_virtual_host_and_leaves_nothing_in_it(project, given):
    project_with_tasks(project)
    project.write("test_one.py", TESTS)
    project.write("test_two.py", TESTS)
    result = project.run("-n2", "--dist=loadfile", given.option("{worker}"), "test_one.py", "test_two.py", timeout=240)
    result.assert_outcomes(passed=20)
    assert given.left() == "[]"


def test_results_over_the_broker_leave_nothing_either(project, given):
    project.settings(FILE_DATABASE)
    project.settings('CELERY_RESULT_BACKEND = "rpc://"')
    result = project.test(
        """
        from shop.tasks import add

        def test_results(worker_process):
            worker_process(broker="rabbitmq")
            assert add.delay(1, 2).get(timeout=20) == 3
            add.delay(1, 2)  # nobody asks for its result

        def test_further_results(worker_process):
            worker = worker_process(broker="rabbitmq")
            assert add.delay(1, 2).get(timeout=20) == 3
            assert worker.log.count("] received") == 1
        """,
        given.option("main"),
    )
    result.assert_outcomes(passed=2)
    assert given.left() == "[]"


def test_what_a_killed_run_left_does_not_reach_the_next(project, given):
    project.settings(FILE_DATABASE)
    with kombu.Connection(given.url("main")) as connection:
        for name in ("celery", "other"):
            # As Celery's own producer does it, but that no worker could read the message.
            with connection.SimpleQueue(name) as queue:
                queue.put({"left": "by a run that was killed"})
    result = project.test(
        """
        from shop.tasks import add

        def test_it(worker_process):
            worker = worker_process(broker="rabbitmq", queues=["celery", "other"])
            assert add.delay(1, 2).get(timeout=20) == 3
            assert "left" not in worker.log
        """,
        given.option("main"),
    )
    result.assert_outcomes(passed=1)
    assert '<<"celery">>' not in given.left()


USES_IT = """
    def test_it(rabbitmq_server):
        pass
"""


def test_one_virtual_host_for_several_processes_is_refused(project, given):
    together = """
        import os, time
        from pathlib import Path

        def test_it(request):
            both("here")
            try:
                request.getfixturevalue("rabbitmq_server")
            finally:
                both("has asked")  # whoever has it keeps it until then

        def both(what):
            Path(os.environ["PYTEST_XDIST_WORKER"] + what).touch()
            while len(list(Path().glob("*" + what))) < 2:
                time.sleep(0.01)
    """
    project.write("test_one.py", together)
    project.write("test_two.py", together)
    result = project.run("-n2", "--dist=loadfile", given.option("main"))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*or another worker of pytest-xdist, uses the virtual host 'main'*put {worker} in*"])


def test_a_second_run_on_the_same_virtual_host_is_refused(project, given, monkeypatch):
    # A run that a worker of pytest-xdist starts is not that worker.
    monkeypatch.setenv("PYTEST_XDIST_WORKER", "gw1")
    first = ExternalRabbitMQ(given.url("main"), "main")
    try:
        result = project.test(USES_IT, given.option("{worker}"))
    finally:
        first.close()
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*another run uses the virtual host 'main' at this moment: wait for it*"])
    result.stdout.no_fnmatch_line("*guest:guest*")
    project.run("test_it.py", given.option("main")).assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("values", "says"),
    [
        (
            {"vhost": "absent"},
            "there is no virtual host 'absent'. Make it: rabbitmqctl add_vhost absent; rabbitmqctl set_permissions*",
        ),
        (
            {"vhost": "closed"},
            "the user 'guest' may not use the virtual host 'closed'. Allow it: rabbitmqctl set_permissions -p closed*",
        ),
        ({"vhost": "main", "user": "guest:secretpassword"}, "ACCESS_REFUSED"),
        ({"vhost": "main", "port": 0}, "ConnectionRefusedError"),
    ],
    ids=["no virtual host", "no permission", "wrong password", "nothing listens"],
)
def test_what_does_not_serve_is_an_error_at_once(project, given, values, says):
    if "port" in values:
        values = {**values, "port": free_port()}
    start = time.monotonic()
    result = project.test(USES_IT, given.option(**values))
    assert time.monotonic() - start < 60
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*--backchannel-rabbitmq-url=amqp://guest:[*][*][*]@127.0.0.1:*{says}*"])
    result.stdout.no_fnmatch_line("*secretpassword*")
