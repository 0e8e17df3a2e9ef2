"""The conftest of a project that has none, and the fixture that tests of WebSockets ask for."""

from __future__ import annotations

from collections.abc import Sequence

_SAYS = '''"""What all tests share.

The fixtures task_queue, celery_eager, websocket, channel_layer and their like come with pytest-backchannel.
"""
'''


def conftest_text(user: Sequence[str] | None) -> str:
    """The whole file.

    Args:
        user: the lines that make a user, the last of which is an expression; None where the project has no users.
    """
    if user is None:
        return _SAYS
    return "\n".join([_SAYS, "import pytest", "", "", *user_fixture(user), ""])


def user_fixture(user: Sequence[str]) -> list[str]:
    """The fixture ``user``, as lines."""
    *before, last = user
    return [
        "@pytest.fixture",
        "def user(db, django_user_model):",
        '    """Somebody who can sign in."""',
        *(f"    {line}" for line in before),
        f"    return {last}",
    ]
