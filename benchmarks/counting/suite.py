"""What a test costs under pytest, with Django's settings; run by benchmarks/cost.py in a folder of its own."""

from __future__ import annotations

SETTINGS = """
SECRET_KEY = "cost"
INSTALLED_APPS = ["channels"]
DATABASES = {"default": {"ENGINE": "django.db.backends.sqlite3", "NAME": ":memory:"}}
CHANNEL_LAYERS = {"default": {"BACKEND": "channels.layers.InMemoryChannelLayer"}}
ALLOWED_HOSTS = ["testserver"]
CELERY_BROKER_URL = "redis://127.0.0.1:1/0"
CELERY_RESULT_BACKEND = "redis://127.0.0.1:1/0"
"""

APP = """
from celery import Celery

app = Celery("cost")
app.config_from_object("django.conf:settings", namespace="CELERY")

@app.task(name="cost.add", shared=False)
def add(x, y):
    return x + y
"""

# The hook counts from the sixth test of each function to the last.
CONFTEST = """
import pytest
from counting.counter import Counter

counter = Counter()

@pytest.hookimpl(hookwrapper=True, tryfirst=True)
def pytest_runtest_protocol(item, nextitem):
    name, _, number = item.name.partition("[")
    if number == "5]":
        counter.begin()
    yield
    if nextitem is None or not nextitem.name.startswith(name + "["):
        counter.end(name, int(number.rstrip("]")) - 4)

def pytest_sessionfinish():
    counter.save()
"""

TESTS = """
import pytest
from tasks import add, app

pytestmark = pytest.mark.parametrize("n", range(15))

def test_nothing(n):
    assert n >= 0

def test_eager(n, monkeypatch):
    monkeypatch.setitem(app.conf.changes, "task_always_eager", True)
    assert add.delay(n, 2).get() == n + 2

def test_celery_eager(n, celery_eager):
    assert add.delay(n, 2).get() == n + 2

def test_task_queue(n, task_queue):
    add.delay(n, 2)
    task_queue.run()

def test_task_queue_with_result(n, task_queue):
    result = add.delay(n, 2)
    task_queue.run()
    assert result.get() == n + 2
"""

INI = """
[pytest]
DJANGO_SETTINGS_MODULE = cost_settings
pythonpath = .
backchannel_celery_app = tasks:app
asyncio_default_fixture_loop_scope = function
"""

FILES = {
    "cost_settings.py": SETTINGS,
    "tasks.py": APP,
    "conftest.py": CONFTEST,
    "test_cost.py": TESTS,
    "pytest.ini": INI,
}

# A test that uses nothing of ours, with the plugin and, in the same process, once its hooks are gone: two processes
# differ by more than it costs. All that Celery and Channels load by themselves is imported before, since every test of
# pytest's costs more once they are.
NOTHING = """
import pytest
{imports}

@pytest.mark.parametrize("n", range(55))
def test_with(n):
    assert n >= 0

@pytest.mark.parametrize("n", range(55))
def test_without(n):
    assert n >= 0
"""
WITHOUT = """
@pytest.hookimpl(tryfirst=True)
def pytest_runtest_logstart(nodeid, location):
    if nodeid.endswith("test_without[0]"):
        for name, plugin in manager.list_name_plugin():
            if name.startswith("backchannel-"):
                manager.unregister(plugin)

def pytest_configure(config):
    global manager
    manager = config.pluginmanager
"""
NEITHER = ""
BOTH = "import celery.app.task, celery.canvas, kombu, channels.layers, channels.testing"
BARE = "[pytest]\n"
