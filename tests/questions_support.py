"""What the tests of the questions share."""

from __future__ import annotations

from pathlib import Path

from pytest_backchannel.inventory.asgi_inventory import AsgiInventory, KnownRoute, SiteSettings
from pytest_backchannel.inventory.celery_inventory import CeleryInventory, KnownTask
from pytest_backchannel.questions.report.items.done import Known


def whats(found, subject="task:t"):
    """What happened to a subject, of facts."""
    return {what for name, what, _ in found if name == subject}


def details(found, what, subject="task:t"):
    """The details of one fact."""
    return {detail for name, other, detail in found if (name, other) == (subject, what)}


def task(name="shop.tasks.ship", file="/site/shop/tasks.py", hooks=(), bound=False, own_retry=False, own_reject=False,
         **options):  # fmt: skip
    """A task of the inventory."""
    return KnownTask(
        name=name,
        module=name.rpartition(".")[0],
        file=file,
        line=3,
        queue="celery",
        options={"max_retries": 3, "autoretries": False, "acks_late": False, **options},
        hooks=hooks,
        bound=bound,
        own_retry=own_retry,
        own_reject=own_reject,
        parameters=["order_id"],
    )


def route(path="/ws/rooms/<int:room>/", consumer="shop.consumers.Room", handlers=(), methods=None, **values):
    """A route of the inventory."""
    return KnownRoute(
        protocol="websocket",
        path=path,
        consumer=consumer,
        handlers=handlers,
        middleware=["AuthMiddleware"],
        file="/site/shop/consumers.py",
        line=1,
        methods=methods or dict.fromkeys(handlers, 5),
        **values,
    )


def known_project(tasks=(), routes=(), index=None, beat=()):
    """What is known of a project, as the child processes say it."""
    celery = CeleryInventory(
        settings_module="config.settings",
        app="config.celery:app",
        main="site",
        installed_apps=["shop"],
        tasks={one.name: one for one in tasks},
        queues=["celery"],
        routes=[],
        beat={one.name: one for one in beat},
        settings={},
        originals={},
        modules={},
        discovered=[],
        unknown=[],
    )
    asgi = AsgiInventory(
        settings_module="config.settings",
        application="config.asgi.application",
        failure=None,
        routes=routes,
        without_celery_app=[],
        celery_app="",
        site=SiteSettings(),
        unknown=[],
    )
    return Known(root=Path("/site"), celery=celery, asgi=asgi, index=index, settings="config.settings")
