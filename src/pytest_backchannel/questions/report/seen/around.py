"""A function of ours around one of another project's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any


def around(function: Callable[..., Any]) -> Callable[[Any], Any]:
    """What makes ours of what stands there, for :class:`~pytest_backchannel.active.Replacement`.

    Args:
        function: called with what stands there, and then with the arguments of the call.
    """

    def make(before: Any) -> Any:
        @functools.wraps(before)
        def ours(*args: Any, **kwargs: Any) -> Any:
            __tracebackhide__ = True
            return function(before, *args, **kwargs)

        return ours

    return make
