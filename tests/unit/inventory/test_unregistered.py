"""Which task no worker knows, and why; whatever may be otherwise is not told."""

from __future__ import annotations

import sys
import types

import pytest
from celery import Celery, shared_task

from pytest_backchannel.inventory.celery_inventory import CeleryInventory, Discovery, KnownTask
from pytest_backchannel.inventory.unregistered import why_unregistered

SOURCE = """
def rebuild(): ...

def made_elsewhere(): ...
"""


@pytest.fixture
def app():
    app = Celery("site", set_as_current=False)
    app.finalize()  # as in a worker: what comes later is a task at once, and no proxy of one
    return app


@pytest.fixture
def module(request, app):
    """A module of the project in which `rebuild` is a task."""

    def make(name, file="/site/shop/jobs.py"):
        module = types.ModuleType(name)
        module.__file__ = file
        exec(compile(SOURCE, file, "exec"), vars(module))
        module.rebuild = app.task(module.rebuild, shared=False, name=f"{name}.rebuild")
        sys.modules[name] = module
        request.addfinalizer(lambda: sys.modules.pop(name))
        return module

    return make


def inventory(**values):
    known = {
        "settings_module": "config.production",
        "app": "config.celery:app",
        "main": "site",
        "installed_apps": ["shop", "mail"],
        "tasks": {},
        "queues": [],
        "routes": [],
        "beat": {},
        "settings": {},
        "originals": {},
        "modules": {"shop": "/site/shop/__init__.py", "shop.tasks": "/site/shop/tasks.py"},
        "discovered": [Discovery(packages=["shop", "mail"], related_name="tasks")],
        "unknown": [],
    }
    return CeleryInventory(**{**known, **values})


@pytest.mark.parametrize(
    ("name", "values", "why", "fix"),
    [
        pytest.param(
            "shop.jobs",
            {},
            "app.autodiscover_tasks() looks in 'shop' for 'shop.tasks', which does not import it",
            "import it in shop.tasks, or name it in the setting CELERY_IMPORTS = ['shop.jobs'] or in ",
            id="another name than tasks",
        ),
        pytest.param(
            "mail.jobs",
            {},
            "app.autodiscover_tasks() looks in 'mail' for 'mail.tasks' (its related_name)",
            "import it in mail.tasks, or name it in the setting CELERY_IMPORTS = ['mail.jobs'] or in ",
            id="no tasks at all",
        ),
        pytest.param(
            "stock.tasks",
            {},
            "no app of its INSTALLED_APPS holds the module, and app.autodiscover_tasks() looks into these",
            "install its app in production, or name it in ",
            id="not installed",
        ),
        pytest.param(
            "shop.tasks.nightly",
            {},
            "app.autodiscover_tasks() looks in 'shop' for 'shop.tasks', which does not import it",
            "import it in shop.tasks, or ",
            id="below tasks",
        ),
        pytest.param(
            "shop.jobs",
            {"discovered": []},
            "app.autodiscover_tasks() is not called, and neither include= nor CELERY_IMPORTS names it",
            "name it in the setting CELERY_IMPORTS = ['shop.jobs'] or in ",
            id="no discovery",
        ),
        pytest.param(
            "shop.jobs",
            {"discovered": [Discovery(packages=["mail"], related_name="tasks")]},
            "app.autodiscover_tasks() is not asked to look into 'shop'",
            "name it in the setting CELERY_IMPORTS = ['shop.jobs'] or in ",
            id="discovery elsewhere",
        ),
        pytest.param(
            "shop.jobs",
            {"discovered": [Discovery(packages=["shop"], related_name=name) for name in ("periodic", "queue")]},
            "app.autodiscover_tasks() looks in 'shop' for 'shop.periodic' and 'shop.queue' (its related_name)",
            "import it in shop.periodic, or ",
            id="another related_name",
        ),
    ],
)
def test_why(module, name, values, why, fix):
    task = module(name).rebuild
    text = why_unregistered(task, inventory(**values))
    assert text is not None
    first, second = text.splitlines()
    assert first == (
        f"It is defined in {name} [/site/shop/jobs.py], which `celery -A config.celery` does not import under "
        f"config.production: {why}; nor does anything else that a worker imports."
    )
    assert second.startswith(f"Fix: {fix}")
    assert second.endswith("or in Celery(include=[…]).")


@pytest.mark.parametrize(
    "values",
    [
        pytest.param(
            {"tasks": {"shop.jobs.rebuild": KnownTask(name="shop.jobs.rebuild", module="shop.jobs")}}, id="known"
        ),
        pytest.param({"unknown": ["refused: a use of a cache"]}, id="something was refused"),
        pytest.param({"modules": {"shop.jobs": "/site/shop/jobs.py"}}, id="imported, and defined on a condition"),
        pytest.param({"modules": {"site.shop.jobs": "/site/shop/jobs.py"}}, id="imported under another name"),
    ],
)
def test_what_a_worker_may_know_is_not_told(module, values):
    assert why_unregistered(module("shop.jobs").rebuild, inventory(**values)) is None


def test_a_task_that_was_made_elsewhere_is_not_told(module, app):
    shop = module("shop.jobs")
    made = app.task(shop.made_elsewhere, shared=False, name="on the fly")
    assert made.__module__ == "shop.jobs"
    assert why_unregistered(made, inventory()) is None


def test_a_task_of_no_module_is_not_told(app):
    def function(): ...

    function.__module__ = "gone"
    task = app.task(function, shared=False, name="of no module")
    assert task.__module__ == "gone"
    assert why_unregistered(task, inventory()) is None


def test_a_shared_task_is_known_by_its_proxy(module, app):
    shop = module("shop.jobs")
    shop.rebuild = shared_task(name="shop.jobs.shared")(shop.made_elsewhere)
    assert why_unregistered(app.tasks["shop.jobs.shared"], inventory()) is not None


def test_lazy_objects_of_the_module_are_left_alone(module):
    from django.utils.functional import SimpleLazyObject

    shop = module("shop.jobs")
    shop.lazy = SimpleLazyObject(lambda: pytest.fail("it was evaluated"))
    assert why_unregistered(shop.rebuild, inventory()) is not None
