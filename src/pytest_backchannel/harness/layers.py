"""The channel layer of a test: the strict one in the place of the project's own, or the project's own, observed."""

from __future__ import annotations

import contextlib
import functools
import sys
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any

import pytest

from ..errors import BackchannelError
from ..events import current_log
from ..options import once_per_config, options_of
from .queues import has_real_worker
from .real_servers import shared_redis

if TYPE_CHECKING:
    from ..channels.layer.layer import StrictLayer
    from ..channels.layer.semantics import LayerOptions

_LAYERS = pytest.StashKey[dict[str, "StrictLayer"]]()
_STACK = pytest.StashKey[contextlib.ExitStack]()
_OBSERVER = pytest.StashKey[Any]()


def strict_layers(item: pytest.Item) -> dict[str, StrictLayer]:
    """Put the strict layer in place for the rest of a test, unless it is there already; the plugin takes it out.

    Returns:
        The layers by alias; empty where the project has none configured.

    Raises:
        pytest.UsageError: Channels is not installed, or the production settings can't be read.
    """
    __tracebackhide__ = True
    if _LAYERS not in item.stash:
        try:
            from ..channels.layer.install import strict_channel_layers
        except ImportError as error:
            raise pytest.UsageError(
                f"{item.nodeid}: the channel layer needs Channels: pip install 'pytest-backchannel[channels]' ({error})"
            ) from error
        current_log().enforced = True
        try:
            stack = contextlib.ExitStack()
            if has_real_worker(item) and find_spec("channels_redis") is not None and _has_layers():
                # What a worker process sends does not come through this one: both use the layer on the test's Redis.
                item.stash[_LAYERS] = stack.enter_context(_on_redis(item.config))
                # Among the fixtures, in the opposite order: task_queue's own override of the settings may be outside.
                item.addfinalizer(functools.partial(_take_out, item))
            else:
                kind, options = _production_layer(item.config)
                item.stash[_LAYERS] = stack.enter_context(strict_channel_layers(kind, options))
            item.stash[_STACK] = stack
        except BackchannelError as error:
            raise pytest.UsageError(f"{item.nodeid}: {error}") from None
    return item.stash[_LAYERS]


def _on_redis(config: pytest.Config) -> contextlib.AbstractContextManager[Any]:
    from ..inventory.production import production_profile
    from ..servers.real_layer import real_channel_layers

    profile = production_profile(options_of(config).production_settings)
    return real_channel_layers(shared_redis(config).url, profile.channel_layer, profile.channel_layer_options)


@once_per_config
def _production_layer(config: pytest.Config) -> tuple[str, LayerOptions]:
    from ..channels.layer.semantics import LayerOptions
    from ..inventory.production import production_profile

    profile = production_profile(options_of(config).production_settings)
    return profile.channel_layer, LayerOptions.of(profile.channel_layer_options)


@once_per_config
def _production_round_trip(config: pytest.Config) -> Any:
    from ..channels.layer.round_trip import round_trip_of

    try:
        return round_trip_of(_production_layer(config)[1].serializer_format)
    except BackchannelError:
        # Nobody has asked for the strict layer: what it would need is no reason to fail a test that does without.
        return None


# ------------------------------------------------------- around each test


def begin(item: pytest.Item) -> None:
    """With ``backchannel_strict``, put the strict layer in place; else observe the project's own, if it has one."""
    if options_of(item.config).strict:
        if _has_layers():
            strict_layers(item)
        return
    if "channels.layers" not in sys.modules:
        return
    from ..channels.layer.observe import LayerObserver

    observer = item.stash[_OBSERVER] = LayerObserver(_production_round_trip(item.config))
    observer.start()


def _has_layers() -> bool:
    """Whether the project uses channel layers, though no test may have imported Channels yet."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    return settings is not None and settings.configured and bool(getattr(settings, "CHANNEL_LAYERS", None))


def end(item: pytest.Item) -> None:
    """When all fixtures are gone, take the layer out: consumers that end with their fixtures still use it."""
    _take_out(item)
    if _OBSERVER in item.stash:
        observer = item.stash[_OBSERVER]
        del item.stash[_OBSERVER]
        observer.stop()


def _take_out(item: pytest.Item) -> None:
    if _STACK in item.stash:
        stack = item.stash[_STACK]
        del item.stash[_STACK], item.stash[_LAYERS]
        stack.close()
