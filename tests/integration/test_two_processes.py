"""What only several processes show: PostgreSQL, a layer between a worker and a socket, faults."""

from __future__ import annotations

import pytest
from support.postgres import postgres_server

pytestmark = pytest.mark.celery_integration

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""


def add_tasks(project, text):
    tasks = project.path / "shop" / "tasks.py"
    tasks.write_text(tasks.read_text() + text)


def test_a_worker_on_postgresql(project):
    with postgres_server() as postgres:
        project.settings(f"DATABASES = {{'default': {postgres.settings('postgres')!r}}}")
        result = project.test(
            """
            from shop.models import Order
            from shop.tasks import confirm_order

            def check(worker_process):
                assert Order.objects.count() == 0
                order = Order.objects.create(reference="A")
                worker_process()
                confirm_order.delay(order.pk).get(timeout=20)
                order.refresh_from_db()
                assert order.confirmed

            def test_a(worker_process): check(worker_process)
            def test_b(worker_process): check(worker_process)
            """
        )
    result.assert_outcomes(passed=2)


NOTIFY = """

@shared_task
def notify(room, text):
    from asgiref.sync import async_to_sync
    from channels.layers import get_channel_layer

    async_to_sync(get_channel_layer().group_send)(room, {"type": "room.message", "text": text})
"""


@pytest.mark.parametrize("layer", ["core.RedisChannelLayer", "pubsub.RedisPubSubChannelLayer"])
def test_a_worker_reaches_a_socket_over_a_real_layer(project, layer):
    project.settings(FILE_DATABASE)
    project.write("production.py", f'CHANNEL_LAYERS = {{"default": {{"BACKEND": "channels_redis.{layer}"}}}}\n')
    project.ini("backchannel_production_settings = production")
    add_tasks(project, NOTIFY)
    result = project.test(
        f"""
        import json
        from channels.layers import get_channel_layer
        from websockets.sync.client import connect
        from shop.tasks import notify

        def check(worker_process, asgi_server):
            worker_process()
            assert type(get_channel_layer()).__name__ == {layer.partition(".")[2]!r}
            with connect(f"{{asgi_server.ws_url}}/ws/rooms/a/", origin=asgi_server.url) as socket:
                notify.delay("a", "from the worker").get(timeout=20)
                assert json.loads(socket.recv(timeout=10)) == {{"text": "from the worker"}}

        def test_a(worker_process, asgi_server): check(worker_process, asgi_server)
        def test_b(worker_process, asgi_server): check(worker_process, asgi_server)

        def test_the_layer_is_the_projects_own_again():
            assert type(get_channel_layer()).__name__ == "InMemoryChannelLayer"
        """
    )
    result.assert_outcomes(passed=3)


SLOW = """

@shared_task(acks_late=True)
def slow(path):
    import time
    from pathlib import Path

    with open(path, "a") as file:
        file.write("run\\n")
    for _ in range(1200):
        if Path(path + ".go").exists():
            return "done"
        time.sleep(0.05)
    raise RuntimeError("nobody let it go")
"""


def test_faults_of_processes_and_brokers(project):
    project.settings(FILE_DATABASE)
    add_tasks(project, SLOW)
    result = project.test(
        """
        import time
        import pytest
        from shop.tasks import add, slow

        def until(condition, seconds=60):
            end = time.monotonic() + seconds
            while not condition():
                assert time.monotonic() < end
                time.sleep(0.05)

        def running(tmp_path):
            path = tmp_path / "runs"
            result = slow.delay(str(path))
            until(path.exists)
            return path, result

        def test_worker_killed_mid_task_late_ack_runs_twice(worker_process, rabbitmq_server, tmp_path):
            worker = worker_process()
            path, result = running(tmp_path)
            worker.kill()
            assert worker.exit_code == -9
            (tmp_path / "runs.go").touch()
            worker.start()
            assert result.get(timeout=20) == "done"
            assert path.read_text() == "run\\n" * 2

        def test_child_killed_mid_task_fails(worker_process, tmp_path):
            from billiard.exceptions import WorkerLostError
            worker = worker_process()
            path, result = running(tmp_path)
            worker.kill_child()
            with pytest.raises(WorkerLostError):
                result.get(timeout=20)
            assert worker.running and path.read_text() == "run\\n"

        def test_warm_stop_lets_it_finish(worker_process, tmp_path):
            worker = worker_process()
            path, result = running(tmp_path)
            (tmp_path / "runs.go").touch()
            worker.stop()
            assert result.get(timeout=20) == "done" and worker.exit_code == 0

        def test_broker_restart_keeps_what_waits(worker_process, rabbitmq_server):
            worker = worker_process()
            worker.pause()
            waiting = add.delay(1, 2)
            rabbitmq_server.restart()
            worker.resume()
            assert waiting.get(timeout=40) == 3

        def test_connections_cut_mid_task_late_ack_runs_twice(worker_process, rabbitmq_server, tmp_path):
            worker_process()
            path, result = running(tmp_path)
            rabbitmq_server.cut_connections()
            (tmp_path / "runs.go").touch()
            until(lambda: path.read_text() == "run\\n" * 2)
            assert result.get(timeout=20) == "done"

        def test_connections_cut_the_worker_comes_back(worker_process, redis_server):
            worker_process()
            assert add.delay(1, 1).get(timeout=20) == 2
            redis_server.cut_connections()
            assert add.delay(1, 2).get(timeout=20) == 3

        def test_broker_paused_and_resumed(worker_process, redis_server):
            worker_process()
            assert add.delay(1, 1).get(timeout=20) == 2
            redis_server.pause()
            time.sleep(0.5)
            redis_server.resume()
            assert add.delay(1, 2).get(timeout=20) == 3
        """
    )
    result.assert_outcomes(passed=7)
