"""The event loop that old releases of pytest-asyncio leave open."""

from __future__ import annotations

from importlib.metadata import version

# pytest-asyncio 1.2 and 1.3 leave a loop open on Python 3.11 (_get_event_loop_no_warn), and pytest tells it of any
# test that runs when it is collected. 1.4 does not.
FILTERS: tuple[str, ...] = (
    "ignore:Exception ignored in. <(socket|function BaseEventLoop):pytest.PytestUnraisableExceptionWarning",
)
if tuple(map(int, version("pytest-asyncio").split(".")[:2])) >= (1, 4):
    FILTERS = ()
