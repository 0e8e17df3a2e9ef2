"""The production profile is read from a settings module without connecting to anything, or from the test settings."""

from __future__ import annotations

import sys

import pytest

from pytest_backchannel.errors import ProductionSettingsError
from pytest_backchannel.inventory.production import production_profile


@pytest.fixture
def module(tmp_path, monkeypatch, request):
    """Write a settings module under a name of its own."""
    monkeypatch.syspath_prepend(tmp_path)

    def write(text: str) -> str:
        name = f"prod_{abs(hash(request.node.nodeid)):x}"
        (tmp_path / f"{name}.py").write_text(text)
        return name

    return write


@pytest.mark.parametrize(
    ("url", "broker"),
    [
        ("redis://:secret@example.com:6379/0", "redis"),
        ("rediss://example.com", "redis"),
        ("sentinel://a:1;sentinel://b:2", "redis"),
        ("sqs://", "redis"),
        ("amqp://guest@example.com//", "rabbitmq"),
        ("pyamqp://", "rabbitmq"),
        ("memory://", "rabbitmq"),
    ],
)
def test_the_broker_is_known_by_its_url(module, url, broker):
    profile = production_profile(module(f"CELERY_BROKER_URL = {url!r}"))
    assert profile.broker == broker


def test_all_of_it_is_read(module):
    name = module(
        "from datetime import timedelta\n"
        "CELERY_BROKER_URL = 'redis://example.com'\n"
        "CELERY_BROKER_TRANSPORT_OPTIONS = {'visibility_timeout': 7200}\n"
        "CELERY_RESULT_BACKEND = 'django-db'\n"
        "CELERY_TASK_TIME_LIMIT = timedelta(seconds=3)\n"
        "CHANNEL_LAYERS = {'default': {'BACKEND': 'channels_redis.pubsub.RedisPubSubChannelLayer',\n"
        "    'CONFIG': {'hosts': ['redis://:secret@example.com'], 'capacity': 7}}}\n"
    )
    profile = production_profile(name)
    assert profile.source == name
    assert profile.broker_options == {"visibility_timeout": 7200}
    assert profile.result_backend == "django-db"
    assert profile.channel_layer == "pubsub"
    assert profile.channel_layer_options == {"capacity": 7}


def test_the_namespace_is_the_apps(module):
    name = module("MYAPP_BROKER_URL = 'redis://'\nCELERY_BROKER_URL = 'amqp://'\n")
    assert production_profile(name, namespace="MYAPP").broker == "redis"


def test_a_celeryconfig_module_serves_too(module):
    assert production_profile(module("broker_url = 'redis://'\nresult_backend = 'rpc://'")).result_backend == "rpc"


def test_nothing_of_it_happens_in_this_process(module):
    name = module("import builtins, sys\nprint('noise')\nbuiltins.reported = True\nCELERY_BROKER_URL = 'redis://'\n")
    assert production_profile(name).broker == "redis"
    assert name not in sys.modules
    assert not hasattr(__builtins__, "reported")


def test_a_module_that_connects_is_refused_with_the_reason(module):
    name = module("import socket\nsocket.create_connection(('127.0.0.1', 9), 1)\n")
    with pytest.raises(ProductionSettingsError, match="no connection may be made while production settings are read"):
        production_profile(name)


def test_a_module_that_needs_its_environment_says_so(module, monkeypatch):
    monkeypatch.delenv("SECRET_KEY", raising=False)
    name = module("import os\nSECRET_KEY = os.environ['SECRET_KEY']\n")
    with pytest.raises(ProductionSettingsError, match="can't be read: KeyError: 'SECRET_KEY'\n.*environment variables"):
        production_profile(name)


def test_without_a_module_the_test_settings_and_the_apps_conf_count():
    profile = production_profile(celery_conf={"broker_url": "redis://", "result_backend": None, "other": 1})
    assert (profile.source, profile.broker, profile.result_backend) == ("the test settings", "redis", "disabled")
    profile = production_profile(celery_conf={"broker_url": "memory://", "result_backend": "cache+memory://"})
    assert (profile.broker, profile.result_backend, profile.channel_layer) == ("rabbitmq", "cache", "core")
