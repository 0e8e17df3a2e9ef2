"""The project's ASGI application on a real server, in the test's own transaction."""

from __future__ import annotations

import pytest

TESTS = """
    import asyncio, json
    import pytest
    from django.test import TestCase
    from shop.models import Order

    def exchange(url, *messages, **kwargs):
        from websockets.sync.client import connect
        with connect(url, open_timeout=5, **kwargs) as socket:
            for message in messages:
                socket.send(json.dumps(message))
            return json.loads(socket.recv(timeout=5))

    def origin(server):
        return {"origin": server.url}

    def test_http_sees_the_tests_rows_and_its_own_are_rolled_back(asgi_server, db):
        import httpx
        Order.objects.create(reference="A")
        answer = httpx.get(f"{asgi_server.url}/orders/count/")
        assert answer.json() == {"count": 1}
        httpx.post(f"{asgi_server.url}/orders/create/")
        assert Order.objects.count() == 2

    def test_the_next_test_is_clean(asgi_server, db):
        assert Order.objects.count() == 0

    def test_transactional(asgi_server, transactional_db):
        import httpx
        Order.objects.create(reference="A")
        assert httpx.get(f"{asgi_server.url}/orders/count/").json() == {"count": 1}

    def test_without_a_database(asgi_server):
        assert exchange(f"{asgi_server.ws_url}/ws/echo/", {"a": 1}, **origin(asgi_server)) == {"a": 1}

    def test_a_foreign_origin_is_refused(asgi_server):
        from websockets.exceptions import InvalidStatus
        with pytest.raises(InvalidStatus, match="403"):
            exchange(f"{asgi_server.ws_url}/ws/echo/", {"a": 1}, origin="http://elsewhere.example")

    @pytest.mark.asyncio
    async def test_two_clients_async(asgi_server, db):
        from websockets.asyncio.client import connect
        url = f"{asgi_server.ws_url}/ws/rooms/a/"
        async with connect(url, **origin(asgi_server)) as one, connect(url, **origin(asgi_server)) as two:
            await one.send(json.dumps({"text": "hi"}))
            assert json.loads(await asyncio.wait_for(two.recv(), 5)) == {"text": "hi"}

    def test_deployment(asgi_server):
        from websockets.exceptions import ConnectionClosed
        from websockets.sync.client import connect
        url = asgi_server.ws_url
        with connect(f"{url}/ws/echo/", **origin(asgi_server)) as socket:
            asgi_server.stop()
            with pytest.raises(ConnectionClosed):
                socket.recv(timeout=5)
        asgi_server.start()
        assert asgi_server.ws_url == url
        assert exchange(f"{url}/ws/echo/", {"a": 1}, **origin(asgi_server)) == {"a": 1}

    @pytest.mark.usefixtures("asgi_server")
    class TestOfDjango(TestCase):
        @pytest.fixture(autouse=True)
        def _server(self, asgi_server):
            self.server = asgi_server

        def test_in_a_django_test_case(self):
            import httpx
            Order.objects.create(reference="A")
            assert httpx.get(f"{self.server.url}/orders/count/").json() == {"count": 1}

    def test_static_files(asgi_server):
        import httpx
        assert httpx.get(f"{asgi_server.url}/static/hello.txt").text == "hello"

    def test_settings_are_as_before(settings):
        from channels.routing import get_default_application
        from pytest_backchannel.servers.asgi import _chain
        assert "127.0.0.1" not in settings.ALLOWED_HOSTS
        hosts = [p.allowed_origins for p in _chain(get_default_application()) if hasattr(p, "allowed_origins")]
        assert hosts and "127.0.0.1" not in hosts[0]
"""


def write_project(project):
    project.settings(
        """
        ALLOWED_HOSTS = ["example.com"]
        INSTALLED_APPS += ["django.contrib.staticfiles"]
        STATIC_URL = "/static/"
        """
    )
    project.write("shop/static/hello.txt", "hello")
    project.write(
        "config/urls.py",
        """
        from django.http import JsonResponse
        from django.urls import path
        from shop.models import Order

        def count(request):
            return JsonResponse({"count": Order.objects.count()})

        def create(request):
            Order.objects.create(reference="B")
            return JsonResponse({})

        urlpatterns = [path("orders/count/", count), path("orders/create/", create)]
        """,
    )


@pytest.mark.parametrize("server", ["uvicorn", "daphne"])
def test_it_serves_the_project_in_the_tests_own_transaction(project, server):
    write_project(project)
    result = project.test(TESTS, f"--backchannel-asgi-server={server}", "-p", "no:randomly")
    result.assert_outcomes(passed=10)


def test_each_xdist_worker_has_its_own(project):
    write_project(project)
    project.test(TESTS, "-n2").assert_outcomes(passed=10)
