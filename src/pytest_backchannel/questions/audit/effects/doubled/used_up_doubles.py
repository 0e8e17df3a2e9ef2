"""Doubles of HTTP that have an answer for each call once: a second run of the body is one call too many for them.

What the body does then says nothing of production, where the other side answers again. A cassette of VCR.py gives its
answers again in a shadow; where another double has none left, nothing is concluded.
"""

from __future__ import annotations

import sys
from typing import Any

from ..effect_log import running

# The libraries whose own errors say it, and the words of those that raise an error of the client.
_LIBRARIES = frozenset({"betamax", "httpretty", "mocket", "pook", "requests_mock", "respx", "vcr"})
_WORDS = {"Connection refused by Responses": "responses", "No response can be found for": "pytest-httpx"}


def note_unanswered(error: BaseException) -> None:
    """Note which double has refused a call of the body that runs, if one has."""
    log = running()
    if log is not None and not log.unanswered:
        log.unanswered = double_of(error)


def double_of(error: BaseException) -> str:
    """The library whose double had no answer; empty for every other error."""
    for each in _chain(error):
        library = type(each).__module__.partition(".")[0]
        if library in _LIBRARIES:
            return library
        text = str(each)
        for words, name in _WORDS.items():
            if words in text:
                return name
    return ""


def _chain(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and error not in found:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


# --- private API: vcr.cassette.Cassette.allow_playback_repeats, an attribute that is set for each, seen on VCR.py 7–9.
# --- tests/plugin/audit/test_used_up_doubles.py fails where an answer that was given is found by something else.


def install() -> None:
    """Let cassettes answer again from now on, in this forked child."""
    owner: Any = getattr(sys.modules.get("vcr.cassette"), "Cassette", None)
    if owner is not None:
        owner.allow_playback_repeats = property(lambda cassette: True, lambda cassette, value: None)


# --- end of private API
