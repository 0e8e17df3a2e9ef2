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
from .queues import has_double, has_real_broker
from .real_servers import shared_redis

if TYPE_CHECKING:
    from ..channels.layer.kinds.semantics import LayerOptions
    from ..channels.layer.layer import StrictLayer
    from ..channels.layer.observe import LayerObserver

_LAYERS = pytest.StashKey[dict[str, "StrictLayer"]]()
_STACK = pytest.StashKey[contextlib.ExitStack]()


def strict_layers(item: pytest.Item) -> dict[str, StrictLayer]:
    """Put the strict layer in place for the rest of a test that asks for it; the plugin takes it out.

    Beside a real worker it is a layer on the test's own Redis, which both processes use.

    Returns:
        The layers by alias; empty where the project has none configured.

    Raises:
        pytest.UsageError: Channels is not installed, or the production settings can't be read.
    """
    __tracebackhide__ = True
    try:
        from channels.layers import channel_layers
    except ImportError as error:
        raise pytest.UsageError(
            f"{item.nodeid}: the channel layer needs Channels: pip install 'pytest-backchannel[channels]' ({error})"
        ) from error
    current_log().enforced = True
    has_double(item)
    try:
        if has_real_broker(item) and find_spec("channels_redis") is not None and _has_layers():
            return _put_on_redis(item)
        layers = _put_in_place(item, keep=False)
        for alias in channel_layers.configs:
            # Also in the place of one that was kept, when an earlier fixture had the layers put in memory.
            channel_layers.backends[alias] = layers[alias]
    except BackchannelError as error:
        raise pytest.UsageError(f"{item.nodeid}: {error}") from None
    return layers


def in_memory(item: pytest.Item) -> None:
    """Have a test with an in-process double send to no real layer: the strict one is in place when one is first used.

    It costs a project without channel layers nothing. In a test with a real broker nothing is done: there one layer on
    the private server is everybody's, which comes with the broker.
    """
    has_double(item)
    if has_real_broker(item) or ("channels.layers" not in sys.modules and not _has_layers()):
        return
    # Where Channels is not installed, nothing can send to a layer.
    with contextlib.suppress(ImportError):
        _put_in_place(item, keep=True)


def _put_in_place(item: pytest.Item, *, keep: bool) -> dict[str, StrictLayer]:
    if _LAYERS not in item.stash:
        from ..channels.layer.install import layers_in_memory

        stack = contextlib.ExitStack()
        item.stash[_LAYERS] = stack.enter_context(
            layers_in_memory(lambda: production_layer(item.config), keep=keep),
        )
        item.stash[_STACK] = stack
    return item.stash[_LAYERS]


def _put_on_redis(item: pytest.Item) -> Any:
    """What a worker process sends does not come through this one: both use the layer on the test's Redis."""
    if _LAYERS not in item.stash:
        from ..inventory.production import production_profile
        from ..servers.real_layer import real_channel_layers

        profile = production_profile(options_of(item.config).production_settings)
        stack = contextlib.ExitStack()
        url = shared_redis(item.config).url
        layers: Any = stack.enter_context(
            real_channel_layers(url, profile.channel_layer, profile.channel_layer_options)
        )
        item.stash[_LAYERS], item.stash[_STACK] = layers, stack
        # Among the fixtures, in the opposite order: task_queue's own override of the settings may be outside.
        item.addfinalizer(functools.partial(end, item))
    return item.stash[_LAYERS]


@once_per_config
def production_layer(config: pytest.Config) -> tuple[str, LayerOptions]:
    """The kind and the configuration of the project's layer in production."""
    from ..channels.layer.kinds.semantics import LayerOptions
    from ..inventory.production import production_profile

    profile = production_profile(options_of(config).production_settings)
    return profile.channel_layer, LayerOptions.of(profile.channel_layer_options)


@once_per_config
def _production_round_trip(config: pytest.Config) -> Any:
    from ..channels.layer.round_trip import round_trip_of

    try:
        return round_trip_of(production_layer(config)[1].serializer_format)
    except BackchannelError:
        # Nobody has asked for the strict layer: what it would need is no reason to fail a test that does without.
        return None


# ------------------------------------------------------- around each test


def in_use(item: pytest.Item) -> bool:
    """Whether the project uses Channels: then its consumers and its own layers are observed.

    Not only with ``backchannel_strict``: that decides what is said of them, and never what a test inspects.
    """
    return "channels.layers" in sys.modules or (options_of(item.config).strict and _has_layers())


def observer(config: pytest.Config) -> LayerObserver:
    """What observes the project's own layers in one test."""
    from ..channels.layer.observe import LayerObserver

    return LayerObserver(_production_round_trip(config))


def _has_layers() -> bool:
    """Whether the project uses channel layers, though no test may have imported Channels yet."""
    settings = getattr(sys.modules.get("django.conf"), "settings", None)
    return settings is not None and settings.configured and bool(getattr(settings, "CHANNEL_LAYERS", None))


def end(item: pytest.Item) -> None:
    """When all fixtures are gone, take the layer out: consumers that end with their fixtures still use it."""
    if _STACK in item.stash:
        stack = item.stash[_STACK]
        del item.stash[_STACK], item.stash[_LAYERS]
        stack.close()
