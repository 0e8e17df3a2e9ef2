"""The round trip that a message makes on its way through Redis."""

from __future__ import annotations

import datetime
import decimal
import enum
import uuid

import pytest

from pytest_backchannel.channels.layer.round_trip import round_trip_of
from pytest_backchannel.errors import BackchannelError, NotSerialisable


class Colour(enum.StrEnum):
    RED = "red"


class Plain(enum.Enum):
    RED = "red"


class Row:
    _meta = None
    pk = 7

    def __repr__(self):
        return "<Row 7>"


def carried(message, serializer="msgpack"):
    trip = round_trip_of(serializer)
    return trip.unpack(trip.packed(message))


def refusal(message, serializer="msgpack"):
    with pytest.raises(NotSerialisable) as caught:
        carried(message, serializer)
    assert isinstance(caught.value, TypeError)
    return str(caught.value)


def test_plain_values_arrive_as_they_were_and_tuples_as_lists():
    message = {"type": "x", "values": [None, True, 1, 1.5, "é", b"\x00", {"nested": {}}]}
    assert carried(message) == message
    assert carried({"type": "x", "sizes": ((1, 2), 3)}) == {"type": "x", "sizes": [[1, 2], 3]}
    assert carried({"type": "x", "colour": Colour.RED}) == {"type": "x", "colour": "red"}


@pytest.mark.parametrize(
    ("value", "advice"),
    [
        (datetime.datetime(2026, 1, 2), "send value.isoformat()"),
        (datetime.timedelta(seconds=1), "send value.total_seconds()"),
        (decimal.Decimal("1.10"), "send str(value)"),
        (uuid.UUID(int=1), "send str(value)"),
        ({1, 2}, "send sorted(value)"),
        (Plain.RED, "send value.value"),
        (2**64, "msgpack integers have 64 bits"),
        (Row(), "send its pk"),
        (object(), "send plain values"),
    ],
)
def test_a_value_that_cannot_be_carried_is_named_with_its_place_and_the_remedy(value, advice):
    text = refusal({"type": "x", "rows": [{"ok": 1, "value": value}]})
    assert "the sender fails" in text
    assert "message['rows'][0]['value'] is " in text
    assert advice in text


def test_a_key_that_only_the_receiver_refuses_is_refused_where_it_is_sent():
    text = refusal({"type": "x", "counts": {1: 2}})
    assert "every receiver in production fails, and the sender sees nothing" in text
    assert "message['counts'] has the key 1 (int): use a str" in text


def test_a_message_that_contains_itself_is_refused():
    message = {"type": "x"}
    message["self"] = message
    assert "message['self'] contains itself" in refusal(message)


def test_only_the_first_few_culprits_are_listed():
    text = refusal({"type": "x", "values": [object() for _ in range(8)]})
    assert text.count("send plain values") == 5
    assert text.endswith("… and 3 more")


def test_json_differs_from_msgpack():
    assert carried({"type": "x", "counts": {1: 2}}, "json") == {"type": "x", "counts": {"1": 2}}
    assert "message['raw'] is b'x' (bytes)" in refusal({"type": "x", "raw": b"x"}, "json")


def test_an_unknown_serialiser_is_an_error_that_names_the_choices():
    with pytest.raises(BackchannelError, match="serializer_format = 'yaml' .* 'msgpack', 'json', or registered"):
        round_trip_of("yaml")


def test_a_serialiser_of_the_project_is_used():
    pytest.importorskip("channels_redis.serializers", reason="channels-redis 4.2 has one serialiser, msgpack")
    from channels_redis.serializers import JSONSerializer, registry

    class Upper(JSONSerializer):
        def as_bytes(self, message, *args, **kwargs):
            return super().as_bytes({key.upper(): value for key, value in message.items()})

    registry.register_serializer("upper", Upper)
    try:
        assert carried({"a": 1}, "upper") == {"A": 1}
    finally:
        del registry._registry["upper"]
