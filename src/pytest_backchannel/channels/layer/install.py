"""Putting the strict layer in the place of every layer of the project, and taking it out again without a trace."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable, Generator
from typing import Any

from asgiref.sync import markcoroutinefunction
from channels.layers import channel_layers
from django.utils.module_loading import import_string

from ...events import current_log
from ..watch.consumers import observing, probing
from .kinds.semantics import LayerOptions
from .layer import StrictLayer

_API = ("send", "receive", "new_channel", "group_add", "group_discard", "group_send", "flush")


@contextlib.contextmanager
def strict_channel_layers(kind: str = "core", options: LayerOptions | None = None) -> Generator[dict[str, StrictLayer]]:
    """Within the block, every alias of ``CHANNEL_LAYERS`` is a fresh :class:`StrictLayer`.

    Also for code that asked for a layer before (a module that keeps ``get_channel_layer()`` in a variable), and when
    the setting is overridden within the block. At the end all is as it was, and what was lost and not looked at is in
    the log of the test.

    Args:
        kind: ``core`` or ``pubsub``, see :class:`StrictLayer`.
        options: their configuration; the same for every alias.

    Yields:
        The layers by alias, made when they are first asked for.

    Raises:
        BackchannelError: another kind, or a serialiser that can't be had.

    Example::

        with strict_channel_layers("pubsub") as layers:
            async_to_sync(notify)("room-7")
            layers["default"].assert_group_sent("room-7")
    """
    with layers_in_memory(lambda: (kind, options)) as layers:
        for alias in channel_layers.configs:
            layers[alias]
        yield layers


@contextlib.contextmanager
def layers_in_memory(
    semantics: Callable[[], tuple[str, LayerOptions | None]], *, keep: bool = False
) -> Generator[dict[str, StrictLayer]]:
    """The same, for those who may not need it: nothing is read or made before a layer is first used.

    Args:
        semantics: gives the kind and the configuration, when a layer is made.
        keep: whether a layer that somebody has put in the project's place by himself stays, such as a mock.
    """
    with contextlib.ExitStack() as stack:
        layers = _Layers(lambda alias: _make(alias, *semantics(), stack))
        current_log().at_end(lambda: _report(layers))
        with _in_place_of_all(layers, keep=keep):
            yield layers
        # What is sent while the last consumers end is seen now.
        _report(layers)


class _Layers(dict[str, StrictLayer]):
    def __init__(self, make: Callable[[str], StrictLayer]) -> None:
        super().__init__()
        self._make = make
        self._lock = threading.RLock()

    def __missing__(self, alias: str) -> StrictLayer:
        channel_layers.configs[alias]  # KeyError, as Channels raises it, for an alias that is not configured
        with self._lock:  # two threads that come at once get the same layer
            if alias not in self:
                self[alias] = self._make(alias)
            return self[alias]


def _make(alias: str, kind: str, options: LayerOptions | None, stack: contextlib.ExitStack) -> StrictLayer:
    layer = StrictLayer(kind, options, alias=alias)
    stack.enter_context(probing())
    stack.enter_context(observing(layer.account))
    return layer


def _report(layers: dict[str, StrictLayer]) -> None:
    for layer in layers.values():
        layer.report_losses()


# --- private API: channels.layers.ChannelLayerManager.backends and make_backend, seen on channels 4.2–4.3: a change of
# the setting empties ``backends``, so that the place where layers are made must be taken too ---


@contextlib.contextmanager
def _in_place_of_all(layers: _Layers, *, keep: bool) -> Generator[None]:
    before: Any = channel_layers.backends
    made_before = vars(channel_layers).get("make_backend")
    kept = {alias: layer for alias, layer in before.items() if keep and not _is_configured(layer, alias)}
    channel_layers.backends = dict(kept)
    setattr(channel_layers, "make_backend", layers.__getitem__)  # noqa: B010 - a method, for type checkers
    # None is what channel_layers.set(alias, <what set() returned>) leaves where no layer had been made.
    forwarded = [
        _forward(layer, alias, layers.__getitem__)
        for alias, layer in before.items()
        if layer is not None and alias not in kept
    ]
    try:
        yield
    finally:
        for restore in forwarded:
            restore()
        if made_before is None:
            del channel_layers.make_backend
        else:
            setattr(channel_layers, "make_backend", made_before)  # noqa: B010
        channel_layers.backends = before
        for alias, layer in layers.items():
            # Whoever kept this layer gets the one that is in place when it is used.
            _forward(layer, alias, channel_layers.__getitem__)


def _is_configured(layer: Any, alias: str) -> bool:
    """Whether a layer is one that the settings name, or was put there by somebody in its place."""
    if layer is None or isinstance(layer, StrictLayer):
        return True
    try:
        return type(layer) is import_string(channel_layers.configs[alias]["BACKEND"])
    except (KeyError, TypeError, ImportError):
        return False


# --- end of private API ---


def _forward(layer: Any, alias: str, target: Callable[[str], Any]) -> Callable[[], None]:
    """Make a layer pass every call on to another; returns what undoes it."""
    saved = {name: vars(layer)[name] for name in _API if name in vars(layer)}

    def passing(name: str) -> Callable[..., Any]:
        def call(*args: Any, **kwargs: Any) -> Any:
            return getattr(target(alias), name)(*args, **kwargs)

        return markcoroutinefunction(call)

    for name in _API:
        setattr(layer, name, passing(name))

    def restore() -> None:
        for name in _API:
            delattr(layer, name)
        vars(layer).update(saved)

    return restore
