"""The command line of ``backchannel smoke``."""

from __future__ import annotations

import argparse
import os
import sys
import traceback
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from ...errors import BackchannelError

if TYPE_CHECKING:
    from .results import Outcome, Report
    from .site_checks import Message, Site

BAD_USAGE = 2
INTERRUPTED = 130

EPILOG = """\
exit codes: 0 everything passed, 1 something failed, 2 the check could not begin, 130 interrupted

example:
  backchannel smoke --settings config.settings.production --url https://shop.example \\
      --websocket /ws/chat/smoke/ --message /ws/chat/smoke/ chat_smoke '{"type": "chat.message", "text": "smoke"}'
"""


def add_parser(commands: Any) -> None:
    """Add ``smoke`` to the subcommands."""
    parser = commands.add_parser(
        "smoke",
        help="check a deployed system end to end",
        description="Check that what was deployed came up: every queue has a live worker that knows its tasks, a "
        "canary comes back through each, WebSockets open, a message on the channel layer reaches one. Nothing is "
        "installed there and nothing is left there.",
        epilog=EPILOG,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--settings", help="the settings module of the deployment (default: DJANGO_SETTINGS_MODULE)")
    parser.add_argument("--app", default="", help="the Celery app, as package.module:attribute (default: found)")
    parser.add_argument("--url", default="", help="the site, such as https://shop.example")
    parser.add_argument(
        "--websocket",
        action="append",
        default=[],
        metavar="PATH",
        help="a route whose handshake must complete (repeatable)",
    )
    parser.add_argument(
        "--message",
        action="append",
        default=[],
        nargs=3,
        metavar=("PATH", "GROUP", "JSON"),
        help="open PATH, send JSON to GROUP on the channel layer, and expect a frame (repeatable). Every member of the "
        "group gets it: choose one without users",
    )
    parser.add_argument("--origin", default="", help="the Origin of the handshakes (default: the site itself)")
    parser.add_argument(
        "--header",
        action="append",
        default=[],
        metavar="NAME:VALUE",
        help="for requests and handshakes, such as 'Cookie: sessionid=…' (repeatable; never shown)",
    )
    parser.add_argument("--no-results", action="store_true", help="no result backend is expected")
    parser.add_argument("--no-celery", action="store_true", help="leave out broker, workers and canaries")
    parser.add_argument("--no-layer", action="store_true", help="leave out the channel layer")
    parser.add_argument("--timeout", type=_seconds, default=10.0, help="how long each answer may take, in seconds (10)")
    parser.add_argument("--format", choices=("text", "json"), default="text", help="what goes to standard output")
    parser.set_defaults(run=run, parser=parser, hint="")


def run(options: argparse.Namespace) -> int:
    """Run all checks.

    Args:
        options: the parsed command line.

    Returns:
        The exit code.
    """
    from ...masking import masked_data
    from .results import Report

    try:
        site, messages = _site(options)
        settings = _set_up(options.settings)
    except (BackchannelError, ValueError) as error:
        # The settings may have named an address that they could not reach.
        print(masked_data(f"backchannel smoke: {error}"), file=sys.stderr)
        return BAD_USAGE
    report = Report(secrets=[value for _, value in site.headers] if site else [], as_json=options.format == "json")
    try:
        for outcome in _checks(options, report, settings, site, messages):
            report.add(outcome)
    except BackchannelError as error:
        print(report.clean(f"backchannel smoke: {error}"), file=sys.stderr)
        return BAD_USAGE
    except KeyboardInterrupt:
        report.close()
        print("backchannel smoke: interrupted", file=sys.stderr)
        return INTERRUPTED
    if not report.outcomes:
        # Nothing failed, and nothing was looked at: not what "passed" should mean.
        print(
            "backchannel smoke: there is nothing to check: leave --no-celery and --no-layer out where the system has "
            "Celery and a channel layer, or give --url",
            file=sys.stderr,
        )
        return BAD_USAGE
    return report.close()


def _checks(
    options: argparse.Namespace, report: Report, settings_module: str, site: Site | None, messages: list[Message]
) -> Iterator[Outcome]:
    from importlib.util import find_spec

    from django.conf import settings

    from .results import Check
    from .secrets import secrets_of

    report.hide(secrets_of(settings, options.url))
    if not options.no_celery and find_spec("celery") is not None:
        from ...inventory.celery_app import find_app
        from .celery_checks import apply_time_limits, celery_checks

        try:
            _, app = find_app(options.app, settings_module, option="--app")
            app.loader.import_default_modules()
            app.finalize()
        except BackchannelError:
            raise
        except Exception as error:  # whatever the project's modules raise
            raise BackchannelError(f"the tasks can't be loaded: {_told(error)}") from error
        report.hide(secrets_of(app.conf, ""))
        if app.conf.task_always_eager:
            yield Check("eager").failed(
                "task_always_eager is on: the site runs tasks itself, and sends none to a worker",
                "Take it out of the settings of the deployment. Are these its settings?",
            )
        apply_time_limits(app, options.timeout)
        yield from celery_checks(app, timeout=options.timeout, results=not options.no_results)
    if not options.no_layer and find_spec("channels") is not None and "channels" in settings.INSTALLED_APPS:
        from .site_checks import layer_check

        yield from layer_check(options.timeout)
    if site is not None:
        from .site_checks import site_checks

        yield from site_checks(site, options.websocket, messages)


def _site(options: argparse.Namespace) -> tuple[Site | None, list[Message]]:
    from .site_checks import Site, parse_message

    if (options.websocket or options.message or options.origin or options.header) and not options.url:
        raise ValueError(
            "--websocket, --message, --origin and --header need --url: where the site is, such as --url "
            "https://shop.example"
        )
    messages = [parse_message(*words) for words in options.message]
    if not options.url:
        return None, messages
    scheme, separator, rest = options.url.partition("://")
    if scheme not in ("http", "https") or not separator or not rest:
        raise ValueError("--url must begin with http:// or https://, such as https://shop.example")
    headers: list[tuple[str, str]] = []
    for header in options.header:
        name, colon, value = header.partition(":")
        if not colon or not name.strip() or not value.strip():
            # Not repeated: what stands there may be a session's cookie.
            raise ValueError("--header needs a name and a value, such as 'Cookie: sessionid=…'")
        headers.append((name.strip(), value.strip()))
    return Site(url=options.url, origin=options.origin, headers=headers, timeout=options.timeout), messages


def _set_up(module: str | None) -> str:
    settings = module or os.environ.get("DJANGO_SETTINGS_MODULE", "")
    if not settings:
        raise BackchannelError("say which settings: --settings config.settings.production, or DJANGO_SETTINGS_MODULE")
    os.environ["DJANGO_SETTINGS_MODULE"] = settings
    if os.getcwd() not in sys.path:
        sys.path.insert(0, os.getcwd())
    try:
        import django

        django.setup()
    except Exception as error:  # whatever the project's settings and apps raise
        fix = ""
        if isinstance(error, ModuleNotFoundError) and settings.split(".")[0] == (error.name or "").split(".")[0]:
            fix = f" (looked for from {os.getcwd()}: run this in the folder of manage.py, and check the name)"
        raise BackchannelError(f"the settings {settings!r} can't be loaded: {_told(error)}{fix}") from error
    return settings


def _told(error: BaseException) -> str:
    """The error, and the line of the project that it comes from."""
    inside = os.getcwd() + os.sep
    places = [
        f" [{frame.filename.removeprefix(inside)}:{frame.lineno}]"
        for frame in traceback.extract_tb(error.__traceback__)
        if frame.filename.startswith(inside) and "site-packages" not in frame.filename
    ]
    return f"{type(error).__name__}: {error}{places[-1] if places else ''}"


def _seconds(text: str) -> float:
    try:
        seconds = float(text)
    except ValueError:
        seconds = -1.0
    if not 0 < seconds <= 3600:
        raise argparse.ArgumentTypeError(f"{text!r}: give a number of seconds above 0, such as 10")
    return seconds
