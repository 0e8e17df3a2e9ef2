"""``backchannel smoke``: whether what was deployed came up, from the broker to the browser's socket."""

from __future__ import annotations

from .command import add_parser as add_parser
