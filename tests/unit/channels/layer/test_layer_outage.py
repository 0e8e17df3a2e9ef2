"""A layer that can't be reached: which calls it refuses, with what, and what the test is told."""

from __future__ import annotations

import sys

import pytest
import redis
from asgiref.sync import async_to_sync

from pytest_backchannel.channels.layer.layer import StrictLayer
from pytest_backchannel.channels.layer.records import CallRefused
from pytest_backchannel.errors import BackchannelError, NotForReal
from pytest_backchannel.events import EventLog
from pytest_backchannel.servers.real_layer import RealLayer

CALLS = {
    "send": ("worker", {"type": "x"}),
    "group_send": ("room", {"type": "x"}),
    "group_add": ("room", "worker"),
    "group_discard": ("room", "worker"),
}


@pytest.fixture
def log():
    return EventLog()


@pytest.fixture
def layer(log):
    return StrictLayer(log=log)


def call(layer, name):
    async_to_sync(getattr(layer, name))(*CALLS[name])


@pytest.mark.parametrize("name", CALLS)
def test_the_next_call_fails_as_where_redis_is_gone_and_does_nothing(layer, log, name):
    call(layer, "group_add")
    before = layer.members("room"), len(layer.group_sends)
    layer.refuse()
    with pytest.raises(redis.ConnectionError, match="Connection refused"):
        call(layer, name)
    assert (layer.members("room"), len(layer.group_sends)) == before
    call(layer, name)
    (refused,) = log.of(CallRefused)
    assert refused.headline() == f"the channel layer refused {name}({CALLS[name][0]!r})"
    if name.endswith("send"):  # the others are coroutines, which run in a thread without the caller's stack
        assert refused.where.path == __file__


def test_it_counts_the_calls(layer):
    layer.refuse(times=2)
    layer.refuse()
    for name in ("send", "group_send", "group_add"):
        with pytest.raises(redis.ConnectionError):
            call(layer, name)
    call(layer, "group_add")
    assert layer.members("room") == ["worker"]


def test_a_call_that_would_be_wrong_anyway_does_not_count(layer):
    layer.refuse()
    with pytest.raises(TypeError):
        async_to_sync(layer.group_send)("a room", {"type": "x"})
    with pytest.raises(redis.ConnectionError):
        call(layer, "group_send")


@pytest.mark.parametrize(
    ("times", "error"), [(0, ValueError), (-1, ValueError), (1.5, TypeError), ("2", TypeError), (True, TypeError)]
)
def test_a_wrong_number_is_refused(layer, times, error):
    with pytest.raises(error, match=r"refuse\(times=.*\): give a"):
        layer.refuse(times=times)
    call(layer, "send")


def test_without_redis_py_the_test_is_told_and_not_the_code(layer, monkeypatch):
    monkeypatch.setitem(sys.modules, "redis.exceptions", None)
    with pytest.raises(BackchannelError, match="pip install redis"):
        layer.refuse()
    call(layer, "send")


def test_beside_a_real_worker_it_says_what_to_do_instead():
    with pytest.raises(NotForReal, match=r"channel_layer.refuse can't be had.*redis_server.stop\(\)"):
        RealLayer("default").refuse()
