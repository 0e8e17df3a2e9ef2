"""Real Redis and RabbitMQ, as a test of a project gets them."""

from __future__ import annotations

import pytest

pytestmark = pytest.mark.celery_integration


def test_redis_is_private_emptied_after_each_test_and_as_it_was_after_faults(project):
    result = project.test(
        """
        import pytest, redis
        from urllib.parse import urlsplit

        @pytest.fixture
        def client(redis_server):
            with redis.Redis.from_url(redis_server.url, socket_timeout=0.3) as client:
                yield client

        def test_a_stop_saves_and_a_restart_keeps_the_port(redis_server, client):
            assert urlsplit(redis_server.url).hostname == "127.0.0.1"
            url = redis_server.url
            client.set("a", 1)
            redis_server.stop()
            with pytest.raises(redis.ConnectionError):
                client.get("a")
            redis_server.start()
            assert redis_server.url == url and client.get("a") == b"1"
            redis_server.restart()
            assert client.get("a") == b"1"

        def test_b_it_is_empty_again(client):
            assert client.dbsize() == 0

        def test_c_a_kill_loses_what_was_not_saved(redis_server, client):
            client.set("a", 1)
            redis_server.kill()
            redis_server.start()
            assert client.get("a") is None

        def test_d_paused_it_takes_connections_and_answers_nothing(redis_server, client):
            redis_server.pause()
            with pytest.raises(redis.TimeoutError):
                client.ping()
            redis_server.resume()
            assert redis.Redis.from_url(redis_server.url).ping()

        def test_e_left_paused(redis_server):
            redis_server.pause()

        def test_f_left_stopped(redis_server, client):
            assert client.ping()
            redis_server.stop()

        def test_g_runs_again(client):
            assert client.ping()

        def test_h_its_log_is_in_the_report(redis_server):
            redis_server.restart()
            assert 0
        """,
        "-p",
        "no:warnings",
    )
    result.assert_outcomes(passed=7, failed=1)
    result.stdout.fnmatch_lines(["*Log of redis*", "*Ready to accept connections*"])


def test_rabbitmq_keeps_durable_messages_over_a_restart_freezes_and_is_empty_for_the_next_test(project):
    result = project.test(
        """
        import pytest, socket, kombu
        from amqp.exceptions import NotFound

        def test_restart(rabbitmq_server):
            with kombu.Connection(rabbitmq_server.url) as connection:
                connection.SimpleQueue("kept").put({"a": 1})
            rabbitmq_server.restart()
            with kombu.Connection(rabbitmq_server.url) as connection:
                assert connection.SimpleQueue("kept").get(timeout=20).payload == {"a": 1}

        def test_pause(rabbitmq_server):
            rabbitmq_server.pause()
            with socket.create_connection(("127.0.0.1", rabbitmq_server.port), timeout=0.5) as connection:
                connection.sendall(b"AMQP\\x00\\x00\\x09\\x01")
                with pytest.raises(TimeoutError):
                    connection.recv(1)

        def test_resumed_and_empty_again(rabbitmq_server):
            with kombu.Connection(rabbitmq_server.url) as connection:
                with pytest.raises(NotFound, match="kept"):
                    connection.default_channel.queue_declare("kept", passive=True)
        """
    )
    result.assert_outcomes(passed=3)
