"""The ini options and flags: declared, read once, checked, with a clear error for each bad value."""

from __future__ import annotations

import os
from dataclasses import dataclass
from importlib.util import find_spec
from typing import TYPE_CHECKING, Any
from urllib.parse import urlsplit

import pytest

if TYPE_CHECKING:
    from collections.abc import Callable

    from .questions.audit.audit_options import AuditOptions
    from .questions.report.formats import Format

ASYNC_DB_CHOICES = ("shared", "off")
BLOCKING_CHOICES = ("off", "warn", "error")


@dataclass(frozen=True, kw_only=True)
class Options:
    """What the project configured.

    Attributes:
        celery_app: where the project's Celery app is, as ``package.module:attribute``; empty finds it.
        production_settings: the settings module that says what runs in production; empty uses the test settings.
        settings_allow: what production's settings may do, by the names of the findings.
        worker_queues: the queues that the project's workers consume; empty where the project does not say.
        timeout: how long a receive waits, in seconds.
        strict: whether every test is held to what a test with one of our fixtures is.
        async_db: ``shared`` lends the test's connection to every thread, ``off`` leaves it as pytest-django has it.
        reuse: whether a stepped worker is used again by later tests.
        redeliver_all: whether the simulated broker delivers each message twice, where a test does not say otherwise.
        distinct_keys: whether the primary keys of the test databases start apart for each table.
        on_commit: whether ``on_commit`` callbacks run in sync tests as in production, in every test.
        redis_url: a running Redis for the real-server fixtures; empty starts a private one.
        rabbitmq_url: a running RabbitMQ for the real-server fixtures; empty starts a private one.
        blocking: what a call does that blocks the event loop: ``off`` (it is not looked for), ``warn`` or ``error``.
        asgi_server: which server ``asgi_server`` runs, ``uvicorn`` or ``daphne``.
        odd_values: whether the consumers that a test connects to are tried with odd values.
        reports: the formats of the report that are asked for, each with its file or folder; empty for no report.
        report_omit: patterns of what the report leaves out.
        fail_under: the share of what is wanted that has to be reached, 0 to 100; None where it does not matter.
        baseline: the file of the gaps and findings that are known; empty where there is none.
        contract: the file in which to record what is sent and accepted; empty for none.
        audit: what the audit tries; None where it is not asked for.
    """

    celery_app: str
    production_settings: str
    settings_allow: tuple[str, ...]
    worker_queues: tuple[str, ...]
    timeout: float
    strict: bool
    async_db: str
    on_commit: bool
    reuse: bool
    redeliver_all: bool
    distinct_keys: bool
    redis_url: str
    rabbitmq_url: str
    asgi_server: str
    blocking: str
    odd_values: bool
    reports: tuple[tuple[str, str], ...]
    report_omit: tuple[str, ...]
    fail_under: float | None
    baseline: str
    contract: str
    audit: AuditOptions | None


_KEY = pytest.StashKey[Options]()


def add_options(parser: pytest.Parser) -> None:
    """Declare the ini options and flags to pytest."""
    parser.addini(
        "backchannel_celery_app",
        "Where the project's Celery app is, as 'package.module:attribute' (default: found from the settings package).",
        default="",
    )
    parser.addini(
        "backchannel_production_settings",
        "The settings module that says which broker, result backend and channel layer run in production "
        "(it is read without connecting to anything).",
        default="",
    )
    parser.addini(
        "backchannel_settings_allow",
        "What production's settings do on purpose: the name of a finding a line, with its reason after a colon "
        "('memory_layer: one process, and no worker').",
        type="linelist",
        default=[],
    )
    parser.addini(
        "backchannel_check_select",
        "The rules that 'backchannel check' applies, by their codes or families such as 'BC2' (default: all).",
        type="args",
        default=[],
    )
    parser.addini(
        "backchannel_check_ignore",
        "The rules that 'backchannel check' does not apply, by their codes or families.",
        type="args",
        default=[],
    )
    parser.addini(
        "backchannel_worker_queues",
        "The queues that the project's workers consume, as given to 'celery worker -Q'.",
        type="args",
        default=[],
    )
    parser.addini(
        "backchannel_blocking",
        "What happens when async code of the project blocks the event loop: 'off' (it is not looked for), 'warn' or "
        "'error' (default: off).",
        default="off",
    )
    parser.addini("backchannel_timeout", "How long a receive waits, in seconds (default: 2).", default="2")
    parser.addini(
        "backchannel_strict",
        "Hold every test to what a test with one of the plugin's fixtures is held to: a lost message or a consumer's "
        "crash fails it (default: false).",
        type="bool",
        default=False,
    )
    parser.addini(
        "backchannel_async_db",
        "'shared' puts an async test with 'db' on one connection inside the test's own transaction; 'off' leaves it "
        "as pytest-django has it (default: shared).",
        default="shared",
    )
    parser.addini(
        "backchannel_on_commit",
        "Run on_commit callbacks in sync tests too, when the code's outermost atomic block ends (default: false).",
        type="bool",
        default=False,
    )
    parser.addini(
        "backchannel_reuse",
        "Use the stepped worker of an earlier test again where nothing of what it was made of has changed; 'false' "
        "builds each anew (default: true).",
        type="bool",
        default=True,
    )
    parser.addini(
        "backchannel_redeliver_all",
        "Deliver each message of every test with task_queue once more when it is done, but for retries; the marker's "
        "redeliver_all rules its own test (default: false).",
        type="bool",
        default=False,
    )
    parser.addini(
        "backchannel_distinct_keys",
        "Let the primary keys of the test databases start apart for each table, so that a wrong id is not right by "
        "chance (default: false).",
        type="bool",
        default=False,
    )
    parser.addini(
        "backchannel_report_omit",
        "What the report leaves out: patterns of keys ('task:shop.legacy.*'), of names or of files, one a line.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "backchannel_fail_under",
        "A run with a report fails where less than this share of what is wanted was reached, 0 to 100 (default: none).",
        default="",
    )


def add_question_options(parser: pytest.Parser) -> None:
    """Declare the flags that ask a question of a suite."""
    parser.getgroup("backchannel", "pytest-backchannel").addoption(
        "--backchannel-odd-values",
        action="store_true",
        help="After each test, open its WebSocket connections again with odd paths and frames: a consumer that dies of "
        "one fails the test.",
    )
    parser.getgroup("backchannel", "pytest-backchannel").addoption(
        "--backchannel-report",
        action="append",
        default=[],
        metavar="FORMAT[:TARGET]",
        help="Say what of the project no test has reached: 'term', 'html[:FOLDER]', 'json[:FILE]' or 'github'; may be "
        "given several times.",
    )
    parser.getgroup("backchannel", "pytest-backchannel").addoption(
        "--backchannel-fail-under",
        default=None,
        metavar="PERCENT",
        help="Fail where less than this share was reached, 0 to 100; reports in the terminal where no format is given.",
    )
    parser.getgroup("backchannel", "pytest-backchannel").addoption(
        "--backchannel-baseline",
        default="",
        metavar="FILE",
        help="The gaps, and the findings of the audit, that are known, as 'backchannel report baseline' writes them: "
        "only new ones are told, and fail the run.",
    )
    parser.getgroup("backchannel", "pytest-backchannel").addoption(
        "--backchannel-contract",
        default="",
        metavar="FILE",
        help="Record what the project sends and what it accepts, for 'backchannel contract check'.",
    )


def add_audit_options(parser: pytest.Parser) -> None:
    """Declare what belongs to the audit."""
    group = parser.getgroup("backchannel", "pytest-backchannel")
    group.addoption(
        "--backchannel-audit",
        nargs="?",
        const=_ALL_KINDS,
        default=None,
        metavar="twice,crash,rollback",
        help="Try, of each task that a test runs, what a second delivery of its message does, and a worker that dies "
        "after each of its effects; and tell what is sent from inside a transaction (default: all three). The tests "
        "run as without it. Paths go before it, or give it a value.",
    )
    group.addoption(
        "--backchannel-audit-json",
        default="",
        metavar="FILE",
        help="Write what the audit has found as JSON; audits where --backchannel-audit is not given.",
    )
    group.addoption(
        "--backchannel-audit-html",
        default="",
        metavar="FILE",
        help="Write what the audit has found as a page; audits where --backchannel-audit is not given.",
    )
    group.addoption(
        "--backchannel-audit-fail-under",
        default=None,
        metavar="PERCENT",
        help="Fail where less than this share of the tasks that ran was audited without a BREAKS, 0 to 100; audits "
        "where --backchannel-audit is not given.",
    )
    parser.addini(
        "backchannel_audit_fail_under",
        "A run with the audit fails where less than this share of the tasks that ran was audited without a BREAKS, 0 "
        "to 100 (default: none).",
        default="",
    )
    parser.addini(
        "backchannel_audit_allow",
        "What the audit finds and is intended: the name of a task (or a pattern of it) a line, with its reason after a "
        "colon ('shop.tasks.ping: one mail more does no harm').",
        type="linelist",
        default=[],
    )
    parser.addini(
        "backchannel_audit_outward",
        "Mocks that stand for something outside of the project, whose calls the audit counts as effects: patterns such "
        "as 'shop.gateway.charge' or '*.post', one a line.",
        type="linelist",
        default=[],
    )
    parser.addini(
        "backchannel_audit_task_seconds",
        "How long the audit of one task may take in a run, in seconds of processor time (default: 10).",
        default="10",
    )
    parser.addini(
        "backchannel_audit_suite_seconds",
        "How long all audits may take in one process of the run, in seconds of processor time (default: 300).",
        default="300",
    )


# As questions/audit/ has them: declaring a flag imports nothing.
_ALL_KINDS = "twice,crash,rollback"


def add_server_options(parser: pytest.Parser) -> None:
    """Declare the flags of the real servers."""
    group = parser.getgroup("backchannel", "pytest-backchannel")
    group.addoption(
        "--backchannel-redis-url",
        default="",
        metavar="URL",
        help="Use this running Redis for redis_server (redis://host:port/0) instead of a private one.",
    )
    group.addoption(
        "--backchannel-rabbitmq-url",
        default="",
        metavar="URL",
        help="Use this running RabbitMQ for rabbitmq_server (amqp://user:password@host:port/vhost; '{worker}' is "
        "replaced by the name of the pytest-xdist worker) instead of a private one.",
    )
    group.addoption(
        "--backchannel-asgi-server",
        default="uvicorn",
        choices=("uvicorn", "daphne"),
        help="The server that asgi_server runs (default: uvicorn).",
    )


def options_of(config: pytest.Config) -> Options:
    """What the project configured, read and checked at the first call.

    Raises:
        pytest.UsageError: a value that cannot be used; the message names it and the valid choices.
    """
    try:
        return config.stash[_KEY]  # the shortest way, since every test asks
    except KeyError:
        found = config.stash[_KEY] = _read(config)
        return found


def _read(config: pytest.Config) -> Options:
    blocking = _choice(config, "backchannel_blocking", BLOCKING_CHOICES)
    if blocking != "off" and find_spec("blockbuster") is None:
        raise pytest.UsageError(
            f"backchannel_blocking = {blocking!r} needs blockbuster: pip install 'pytest-backchannel[blocking]'"
        )
    return Options(
        celery_app=_dotted(config, "backchannel_celery_app", "package.module:attribute", "config.celery:app"),
        production_settings=_dotted(
            config, "backchannel_production_settings", "package.module", "config.settings.production"
        ),
        settings_allow=_findings(config, "backchannel_settings_allow"),
        worker_queues=_queues(config, "backchannel_worker_queues"),
        timeout=_seconds("backchannel_timeout", _ini(config, "backchannel_timeout", "a number of seconds above 0")),
        strict=_ini(config, "backchannel_strict", "true or false"),
        async_db=_choice(config, "backchannel_async_db", ASYNC_DB_CHOICES),
        on_commit=_ini(config, "backchannel_on_commit", "true or false"),
        reuse=_ini(config, "backchannel_reuse", "true or false"),
        redeliver_all=_ini(config, "backchannel_redeliver_all", "true or false"),
        distinct_keys=_ini(config, "backchannel_distinct_keys", "true or false"),
        redis_url=_url("--backchannel-redis-url", config, ("redis", "rediss", "valkey")),
        rabbitmq_url=_url("--backchannel-rabbitmq-url", config, ("amqp", "amqps", "pyamqp")),
        asgi_server=_server(config),
        blocking=blocking,
        odd_values=bool(config.getoption("--backchannel-odd-values")),
        reports=_reports(config),
        report_omit=tuple(_ini(config, "backchannel_report_omit", "a pattern a line, such as task:shop.legacy.*")),
        fail_under=_fail_under(config),
        baseline=str(config.getoption("--backchannel-baseline") or ""),
        contract=str(config.getoption("--backchannel-contract") or ""),
        audit=_audit(config),
    )


def _reports(config: pytest.Config) -> tuple[tuple[str, str], ...]:
    given: list[str] = [*(config.getoption("--backchannel-report") or ())]
    if config.getoption("--backchannel-fail-under") is not None and not given:
        given = ["term"]
    if not given:
        return ()
    from .questions.report.formats import MODULES

    if os.environ.get("GITHUB_ACTIONS") == "true" and "github" not in given:
        given.append("github")
    found: dict[tuple[str, str], None] = {}
    for one in given:
        name, _, target = str(one).partition(":")
        if name not in MODULES:
            raise pytest.UsageError(f"--backchannel-report={one}: choose one of {', '.join(MODULES)}")
        module = _format(name, f"--backchannel-report={one}")
        if target and not module.TARGET:
            raise pytest.UsageError(f"--backchannel-report={one}: {name} writes no file: give {name!r} alone")
        found[name, target or module.TARGET] = None
    return tuple(found)


def _format(name: str, flag: str) -> Format:
    from .errors import BackchannelError
    from .questions.report.formats import load

    try:
        return load(name)
    except BackchannelError as error:
        raise pytest.UsageError(f"{flag}: {error}") from None


def _fail_under(config: pytest.Config, of: str = "") -> float | None:
    flag, ini = f"--backchannel-{of}fail-under", f"backchannel_{of.replace('-', '_')}fail_under"
    given = config.getoption(flag)
    name = ini if given is None else flag
    value = _ini(config, name, "a number from 0 to 100") if given is None else given
    if str(value).strip() == "":
        return None
    try:
        percent = float(str(value))
    except ValueError:
        percent = -1.0
    if not 0 <= percent <= 100:
        raise pytest.UsageError(f"{name} = {value!r}: give a number from 0 to 100, such as 85")
    return percent


def _audit(config: pytest.Config) -> AuditOptions | None:
    given, wanted = (config.getoption(f"--backchannel-audit{rest}") for rest in ("", "-fail-under"))
    json, html = (str(config.getoption(f"--backchannel-audit-{name}") or "") for name in ("json", "html"))
    if given is None and wanted is None and not json and not html:
        return None
    if html:
        _format("html", f"--backchannel-audit-html={html}")
    from .questions.audit.audit_options import AuditOptions

    kinds = _kinds_of_audit(_ALL_KINDS if given is None else str(given))
    if wanted is not None and kinds == ("rollback",):
        raise pytest.UsageError(
            f"--backchannel-audit-fail-under={wanted}: it is a share of the tasks that are audited, and "
            f"--backchannel-audit={given} audits none: add twice or crash, or leave the share out"
        )
    limits = {
        name: _seconds(f"backchannel_audit_{name}", _ini(config, f"backchannel_audit_{name}", "a number of seconds"))
        for name in ("task_seconds", "suite_seconds")
    }
    return AuditOptions(
        kinds=kinds,
        allow=_allowed_tasks(config, "backchannel_audit_allow"),
        outward=tuple(_ini(config, "backchannel_audit_outward", "a pattern a line, such as shop.gateway.charge")),
        json=json,
        html=html,
        fail_under=_fail_under(config, "audit-"),
        **limits,
    )


def _kinds_of_audit(given: str) -> tuple[str, ...]:
    from .questions.audit.audit_options import KINDS

    wanted = [kind.strip() for kind in given.split(",")]
    for kind in wanted:
        if kind not in KINDS:
            if os.path.exists(given.partition("::")[0]):
                raise pytest.UsageError(
                    f"--backchannel-audit has taken the path {given!r} for what to audit, of {', '.join(KINDS)}: put "
                    f"the path first (pytest {given} --backchannel-audit), or give the flag its value "
                    f"(--backchannel-audit={_ALL_KINDS} {given})"
                )
            raise pytest.UsageError(
                f"--backchannel-audit={given}: there is no {kind!r}: choose of {', '.join(KINDS)}, with commas between "
                f"them; a path goes before the flag, or after --backchannel-audit={_ALL_KINDS}"
            )
    return tuple(kind for kind in KINDS if kind in wanted)


def _allowed_tasks(config: pytest.Config, name: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for line in _ini(config, name, "a task a line, with its reason after a colon"):
        task, _, reason = (part.strip() for part in line.partition(":"))
        if not task or not reason:
            raise pytest.UsageError(
                f"{name}: {line!r} has no {'reason' if task else 'task'}: give a task and its reason, such as "
                "shop.tasks.ping: one mail more does no harm"
            )
        found[task] = reason
    return found


def _ini(config: pytest.Config, name: str, valid: str) -> Any:
    try:
        return config.getini(name)
    except (TypeError, ValueError, pytest.UsageError) as error:  # of pytest's own check, which may not name the option
        raise pytest.UsageError(f"{name}: {error}: give {valid}") from None


def _choice(config: pytest.Config, name: str, choices: tuple[str, ...]) -> str:
    value: str = _ini(config, name, f"one of {', '.join(map(repr, choices))}")
    if value not in choices:
        raise pytest.UsageError(f"{name} = {value!r}: choose one of {', '.join(map(repr, choices))}")
    return value


def _queues(config: pytest.Config, name: str) -> tuple[str, ...]:
    entries = _ini(config, name, "the names of queues, such as: celery mail")
    queues = tuple(queue for entry in entries for queue in entry.split(",") if queue)
    for queue in queues:
        if queue.startswith("-"):
            raise pytest.UsageError(
                f"{name} = {' '.join(entries)!r}: {queue!r} is no queue: give the names alone, such as: celery mail"
            )
    return queues


def _findings(config: pytest.Config, name: str) -> tuple[str, ...]:
    lines = _ini(config, name, "the names of findings, each on a line of its own, such as: memory_layer: one process")
    names = tuple(line.partition(":")[0].strip() for line in lines)
    if names:
        from .inventory.findings.finding import FINDINGS

        for given in names:
            if given not in FINDINGS:
                raise pytest.UsageError(f"{name}: there is no finding {given!r}: choose of {', '.join(FINDINGS)}")
    return names


def _server(config: pytest.Config) -> str:
    server = str(config.getoption("--backchannel-asgi-server"))
    # The default need not be there: most suites start no server.
    if server != "uvicorn" and find_spec(server) is None:
        raise pytest.UsageError(
            f"--backchannel-asgi-server={server}: {server} is not installed: pip install {server}, or leave it out for "
            "uvicorn"
        )
    return server


def _url(flag: str, config: pytest.Config, schemes: tuple[str, ...]) -> str:
    value = str(config.getoption(flag) or "").strip()
    scheme, separator, rest = value.partition("://")
    if value and (not separator or scheme not in schemes or not rest):
        # The value is not repeated: it may carry a password.
        raise pytest.UsageError(
            f"{flag} begins with {scheme + separator if separator else 'no scheme'!r}: give a url such as {schemes[0]}://127.0.0.1"
        )
    try:
        _ = urlsplit(value).port
    except ValueError:
        # Nor is what urlsplit() says: where a password has a slash, a part of it stands in the port's place.
        raise pytest.UsageError(
            f"{flag}: its port is no number up to 65535 (a '/' in a password is written %2F): give a url such as "
            f"{schemes[0]}://127.0.0.1:6379"
        ) from None
    return value


def _seconds(name: str, value: object) -> float:
    try:
        seconds = float(str(value))
    except ValueError:
        seconds = -1.0
    if not 0 < seconds < float("inf"):
        raise pytest.UsageError(f"{name} = {value!r}: give a number of seconds above 0, such as 2 or 0.5")
    return seconds


def _dotted(config: pytest.Config, name: str, form: str, example: str) -> str:
    value = str(_ini(config, name, f"{form!r}, such as {example!r}")).strip()
    parts = value.replace(":", ".", 1) if ":" in form else value
    if value and not all(part.isidentifier() for part in parts.split(".")):
        raise pytest.UsageError(f"{name} = {value!r}: give {form!r}, such as {example!r}")
    return value


def once_per_config(make: Callable[[pytest.Config], Any]) -> Callable[[pytest.Config], Any]:
    """Keep what ``make`` returns on the config, so that it is computed once a run."""
    key: pytest.StashKey[Any] = pytest.StashKey()

    def get(config: pytest.Config) -> Any:
        __tracebackhide__ = True
        try:
            return config.stash[key]  # the shortest way, since every test asks for some
        except KeyError:
            pass  # what goes wrong in making it is not due to this
        found = config.stash[key] = make(config)
        return found

    return get
