"""What web processes, the channel layer and the mail server would do, and what a fresh process can't import."""

from __future__ import annotations

from collections.abc import Iterator

from .finding import Finding, Production, in_short


def asgi_import(production: Production) -> Iterator[Finding]:
    """Not where it may fail here alone."""
    asgi = production.asgi
    if asgi is None or asgi.failure is None or asgi.failure.environment:
        return
    fix = f"what the traceback shows; python -c 'import {asgi.application.rpartition('.')[0]}' fails alike."
    if asgi.failure.type == "AppRegistryNotReady":
        fix = "call get_asgi_application() before anything is imported that has models."
    yield Finding(
        name="asgi_import",
        text=f"a fresh process can't import {asgi.application}, and no server starts: {asgi.failure.text}. Fix: {fix}",
        traceback=asgi.failure.traceback,
    )


def celery_app_not_loaded(production: Production) -> Iterator[Finding]:
    """A shared task without an app goes to Celery's default one, which has no settings."""
    asgi = production.asgi
    if asgi is not None and asgi.without_celery_app and asgi.celery_app:
        module = asgi.celery_app.partition(":")[0]
        yield Finding(
            name="celery_app_not_loaded",
            text=f"a fresh web process imports the shared tasks of {in_short(asgi.without_celery_app)}, and not "
            f"{module}: delay() goes to amqp://guest@localhost, without your settings. Fix: import the app in "
            f"{module.rpartition('.')[0] or module}/__init__.py, as Celery's guide for Django has it.",
        )


def memory_layer(production: Production) -> Iterator[Finding]:
    """Also where there is one web process: a worker is another."""
    for alias, layer in production.site.layers.items():
        if layer["memory"]:
            yield Finding(
                name="memory_layer",
                text=f"CHANNEL_LAYERS[{alias!r}] is {layer['backend'].rpartition('.')[2]}: what a worker or another "
                "web process sends reaches nobody. Fix: a layer that all processes share, such as channels_redis.",
            )


def layer_idle_timeout(production: Production) -> Iterator[Finding]:
    """redis-py 8 ends each read after 5 s unless told otherwise; the layer waits for as long."""
    for alias, layer in production.site.layers.items():
        timeout, blocks = layer["read_timeout"], layer["blocks_for"]
        if timeout is not None and blocks is not None and 0 < timeout <= blocks:
            yield Finding(
                name="layer_idle_timeout",
                text=f"CHANNEL_LAYERS[{alias!r}] waits {blocks:g} s for a message, and a read of its Redis gives up "
                f"after {timeout:g} s (socket_timeout): a consumer that hears nothing dies of it "
                "(channels_redis#422). "
                'Fix: "socket_timeout": None for each of its hosts.',
            )


def layer_capacity(production: Production) -> Iterator[Finding]:
    """Of channels-redis and of the layer in memory alike: what comes beyond it is dropped without a word."""
    for alias, layer in production.site.layers.items():
        capacity = layer["capacity"]
        if isinstance(capacity, int) and capacity <= 1:
            yield Finding(
                name="layer_capacity",
                text=f"CHANNEL_LAYERS[{alias!r}] has a capacity of {capacity}: of two messages in a row, a consumer "
                "that has not read the first never gets the second. Fix: the default of 100, or what the slowest "
                "consumer may have waiting.",
            )


def mail_timeout(production: Production) -> Iterator[Finding]:
    """Only where the project says which server it is."""
    for alias, mailer in production.site.mail.items():
        if mailer["smtp"] and mailer["configured"] and mailer["timeout"] is None:
            which = "" if alias == "default" else f" (the mailer {alias!r})"
            yield Finding(
                name="mail_timeout",
                text=f"mail goes to an SMTP server without a time-out{which}: while that does not answer, a worker or "
                "a request waits for ever. Fix: EMAIL_TIMEOUT (from Django 6.1 on: timeout in the OPTIONS of "
                "MAILERS).",
            )


def http_timeout(production: Production) -> Iterator[Finding]:
    """Of requests, urllib and smtplib, which have no time-out of their own."""
    for call in production.waiting_calls:
        yield Finding(
            name="http_timeout",
            text=f"{call['what']}() without a time-out at {call['where']}: while its server does not answer, a worker "
            "or a request waits for ever. Fix: timeout=10, say.",
        )
