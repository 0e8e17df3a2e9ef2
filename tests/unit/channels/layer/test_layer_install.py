"""The strict layer without pytest: put in place of every layer, and taken out again without a trace."""

from __future__ import annotations

import pytest
from asgiref.sync import async_to_sync, iscoroutinefunction
from channels.layers import InMemoryChannelLayer, channel_layers, get_channel_layer
from support.layers import layer_in_place

from pytest_backchannel import events
from pytest_backchannel.channels.layer.install import strict_channel_layers
from pytest_backchannel.channels.layer.kinds.semantics import LayerOptions
from pytest_backchannel.channels.layer.layer import StrictLayer
from pytest_backchannel.errors import UnexpectedLoss


@pytest.fixture
def log():
    """A log of our own: what is lost here is not the test's loss."""
    before = events.current_log()
    yield events.begin_log("here", enforced=True)
    events._log.value = before


def state():
    return channel_layers.backends, dict(channel_layers.backends), dict(vars(channel_layers))


def test_it_is_taken_out_also_after_an_exception(log):
    own = get_channel_layer()
    before = state(), dict(vars(own))

    def fails():
        with strict_channel_layers("pubsub", LayerOptions(prefix="x")) as layers:
            assert get_channel_layer() is layers["default"]
            assert (layers["default"].kind, layers["default"].options.prefix) == ("pubsub", "x")
            raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        fails()
    assert (state(), dict(vars(own))) == before
    assert get_channel_layer() is own
    assert type(own) is InMemoryChannelLayer


def test_blocks_nest_and_each_has_its_own_messages(log):
    with strict_channel_layers() as outer:
        async_to_sync(get_channel_layer().group_send)("room", {"type": "outer"})
        with strict_channel_layers() as inner:
            async_to_sync(outer["default"].group_send)("room", {"type": "inner"})
            assert [send.message["type"] for send in inner["default"].group_sends] == ["inner"]
        assert get_channel_layer() is outer["default"]
        assert [send.message["type"] for send in outer["default"].group_sends] == ["outer"]


def test_whoever_kept_a_layer_reaches_the_one_in_place(log):
    own = get_channel_layer()
    with strict_channel_layers() as layers:
        kept = layers["default"]
        assert all(iscoroutinefunction(getattr(own, name)) for name in ("send", "group_send", "receive"))
        async_to_sync(own.group_send)("room", {"type": "x"})
        assert len(kept.group_sends) == 1
    with strict_channel_layers() as layers:
        async_to_sync(kept.group_send)("room", {"type": "x"})
        assert len(layers["default"].group_sends) == 1
    async_to_sync(kept.group_add)("kept", "channel")
    assert "channel" in own.groups.pop("kept")


def test_an_alias_that_is_not_configured_is_unknown_as_with_channels(log):
    with strict_channel_layers() as layers:
        assert list(layers) == ["default"]
        assert get_channel_layer("other") is None
        with pytest.raises(KeyError):
            layers["other"]


def test_what_was_lost_and_not_looked_at_is_in_the_log(log):
    with strict_channel_layers("core", LayerOptions(capacity=1)) as layers:
        layer = layers["default"]
        channel = async_to_sync(layer.new_channel)()
        async_to_sync(layer.group_add)("room", channel)
        for _ in range(3):
            async_to_sync(layer.group_send)("room", {"type": "x"})
        assert isinstance(layer, StrictLayer)
    with pytest.raises(UnexpectedLoss, match=r"over_capacity: group_send\('room', \{'type': 'x'\}\) \(2 times\)"):
        log.raise_problems()


def test_what_was_looked_at_is_not(log):
    with strict_channel_layers("core", LayerOptions(capacity=1)) as layers:
        for _ in range(2):
            layers["default"].account.listens()
            async_to_sync(layers["default"].group_send)("room", {"type": "x"})
        assert [lost.reason for lost in layers["default"].lost] == ["no_members"] * 2
    log.raise_problems()
    assert [event for event in log.events if isinstance(event, events.Problem)] == []


def test_an_alias_that_was_set_to_none_is_taken_over_and_left_so(log):
    """What ``channel_layers.set("default", channel_layers.set("default", mine))`` leaves before any layer was made."""
    with layer_in_place(None):
        with strict_channel_layers() as layers:
            assert get_channel_layer() is layers["default"]
        assert get_channel_layer() is None
