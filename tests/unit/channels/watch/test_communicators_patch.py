"""Watching asgiref's communicator replaces three names, and leaves them exactly as they were."""

from __future__ import annotations

import pytest
from asgiref.testing import ApplicationCommunicator

from pytest_backchannel.channels.watch import communicators

NAMES = ("future", "receive_output", "stop")


@pytest.fixture
def removed():
    """The plugin watches this suite too: out for the test, and in again."""
    count = 0
    while communicators.watch.users:
        communicators.remove()
        count += 1
    yield
    for _ in range(count):
        communicators.install()


@pytest.mark.usefixtures("removed")
def test_asgiref_is_restored_exactly():
    before = {name: vars(ApplicationCommunicator)[name] for name in NAMES}
    assert isinstance(before["future"], property)
    assert all(before[name].__module__ == "asgiref.testing" for name in NAMES[1:])
    communicators.install()
    communicators.install()
    assert all(vars(ApplicationCommunicator)[name] is not before[name] for name in NAMES)
    communicators.remove()
    communicators.remove()
    assert {name: vars(ApplicationCommunicator)[name] for name in NAMES} == before


@pytest.mark.usefixtures("removed")
def test_an_asgiref_that_begins_at_once_is_left_alone():
    """Before asgiref 3.9 a communicator had no ``future`` that begins the application when it is first asked for."""
    # Undone here, and not by the fixture: that may be after the watch is in place again.
    with pytest.MonkeyPatch.context() as patched:
        patched.delattr(ApplicationCommunicator, "future")
        replaced = communicators._replacements()
    assert [replacement.name for replacement in replaced] == ["receive_output", "stop"]


@pytest.mark.asyncio
async def test_what_a_communicator_shows_is_unchanged():
    async def application(scope, receive, send):
        await send(await receive())

    communicator = ApplicationCommunicator(application, {"type": "test"})
    assert communicator.application is application
    await communicator.send_input({"type": "x"})
    assert communicator.application is application
    assert await communicator.receive_output() == {"type": "x"}
    assert communicator.future is communicator.future
    await communicator.wait()
