"""The scope, as servers build it; compared with theirs in tests/integration/channels."""

from __future__ import annotations

import pytest
from django.test import override_settings

from pytest_backchannel.channels.client.scope import default_host, websocket_scope, with_cookies


def test_all_of_it():
    scope = websocket_scope("/ws/caf%C3%A9/ü/?a=1&b=%20", subprotocols=["v1"])
    headers = scope.pop("headers")
    assert scope == {
        "type": "websocket",
        "asgi": {"version": "3.0", "spec_version": "2.4"},
        "http_version": "1.1",
        "scheme": "ws",
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 50000),
        "root_path": "",
        "path": "/ws/café/ü/",
        "raw_path": b"/ws/caf%C3%A9/%C3%BC/",
        "query_string": b"a=1&b=%20",
        "subprotocols": ["v1"],
        "state": {},
        "extensions": {"websocket.http.response": {}},
    }
    assert dict(headers)[b"host"] == b"testserver"
    assert dict(headers)[b"origin"] == b"http://testserver"
    assert dict(headers)[b"sec-websocket-protocol"] == b"v1"


def test_given_headers_are_lower_cased_and_replace_the_default_ones():
    scope = websocket_scope("/", headers={"HOST": "shop.example", b"X-Forwarded-For": b" 10.0.0.1 ", "User-Agent": "x"})
    headers = scope["headers"]
    assert [value for name, value in headers if name == b"host"] == [b"shop.example"]
    assert dict(headers)[b"origin"] == b"http://shop.example"
    assert dict(headers)[b"x-forwarded-for"] == b"10.0.0.1"
    assert [value for name, value in headers if name == b"user-agent"] == [b"x"]
    assert all(name == name.lower() for name, _ in headers)


def test_origin():
    def origins(**options):
        return [value for name, value in websocket_scope("/", **options)["headers"] if name == b"origin"]

    assert origins() == [b"http://testserver"]
    assert origins(origin="") == []
    assert origins(origin="https://a.example") == [b"https://a.example"]
    assert origins(headers={"Origin": "null"}) == [b"null"]
    assert origins(headers={"Origin": "null"}, origin="https://a.example") == [b"https://a.example"]


def test_subprotocols_by_header_count_as_offered():
    assert websocket_scope("/", headers={"Sec-WebSocket-Protocol": "v2, v1"})["subprotocols"] == ["v2", "v1"]


def test_cookies_go_into_one_header():
    headers = [(b"cookie", b"a=1"), (b"x", b"y"), (b"cookie", b"b=2")]
    assert with_cookies(headers, {"c": "3"}) == [(b"x", b"y"), (b"cookie", b"a=1; b=2; c=3")]
    assert with_cookies([(b"x", b"y")], {}) == [(b"x", b"y")]


@pytest.mark.parametrize(
    ("allowed", "host"),
    [([], "testserver"), (["*"], "testserver"), ([".shop.example", "testserver"], "shop.example"), (["a.b"], "a.b")],
)
def test_the_host_is_one_that_the_project_allows(allowed, host):
    with override_settings(ALLOWED_HOSTS=allowed):
        assert default_host() == host
