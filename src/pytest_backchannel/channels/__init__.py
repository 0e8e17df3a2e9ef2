"""Doubles for Channels: a WebSocket client and a strict channel layer."""
