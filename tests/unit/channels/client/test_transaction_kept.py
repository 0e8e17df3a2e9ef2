"""Connections inside a transaction are spared while a client is open, and Channels is left as it was."""

from __future__ import annotations

import pytest
from channels import consumer as channels_consumer
from channels import db as channels_db
from django.db import connections

from pytest_backchannel import WebSocketClient
from pytest_backchannel.channels.client import transaction


@pytest.fixture
def connection():
    return connections["default"]


@pytest.fixture
def closed(connection, monkeypatch):
    calls = []
    monkeypatch.setattr(connection, "close_if_unusable_or_obsolete", lambda: calls.append(1))
    return calls


def test_only_what_is_in_a_transaction_is_spared(connection, closed, monkeypatch):
    before = channels_db.close_old_connections, channels_consumer.aclose_old_connections
    transaction.keep()
    transaction.keep()
    try:
        monkeypatch.setattr(connection, "in_atomic_block", True)
        channels_db.close_old_connections()
        assert closed == []
        monkeypatch.setattr(connection, "in_atomic_block", False)
        channels_db.close_old_connections()
        assert closed == [1]
    finally:
        transaction.release()
        ours = channels_db.close_old_connections
        transaction.release()
    assert (channels_db.close_old_connections, channels_consumer.aclose_old_connections) == before
    ours()  # a reference that somebody kept passes through
    assert closed == [1, 1]


def test_a_replacement_that_came_later_is_kept():
    def theirs():
        pass

    before = channels_db.close_old_connections
    transaction.keep()
    channels_db.close_old_connections = theirs
    transaction.release()
    assert channels_db.close_old_connections is theirs
    channels_db.close_old_connections = before


@pytest.mark.asyncio
async def test_the_end_of_a_connection_closes_as_in_production(monkeypatch):
    from channels.generic import websocket
    from channels.generic.websocket import AsyncWebsocketConsumer

    calls = []
    original = websocket.aclose_old_connections

    async def counted():
        calls.append(1)
        await original()

    monkeypatch.setattr(websocket, "aclose_old_connections", counted)
    async with WebSocketClient(AsyncWebsocketConsumer):
        assert calls == []
    assert calls == [1]
