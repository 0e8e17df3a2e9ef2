"""Each bad option is a clear usage error."""

from __future__ import annotations

import sys

import pytest

from pytest_backchannel.options import options_of


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("backchannel_timeout = soon", "backchannel_timeout = 'soon': give a number of seconds above 0*"),
        ("backchannel_timeout = 0", "backchannel_timeout = '0': give a number of seconds above 0*"),
        ("backchannel_async_db = shard", "backchannel_async_db = 'shard': choose one of 'shared', 'off'"),
        ("backchannel_reuse = maybe", "backchannel_reuse: invalid truth value 'maybe': give true or false"),
        (
            "backchannel_redeliver_all = twice",
            "backchannel_redeliver_all: invalid truth value 'twice': give true or false",
        ),
        ("backchannel_distinct_keys = 3", "backchannel_distinct_keys: invalid truth value '3': give true or false"),
        ("backchannel_strict = maybe", "backchannel_strict: invalid truth value 'maybe': give true or false"),
        ("backchannel_celery_app = a b", "backchannel_celery_app = 'a b': give 'package.module:attribute'*"),
        ("backchannel_celery_app = a:b:c", "backchannel_celery_app = 'a:b:c': give 'package.module:attribute'*"),
        ("backchannel_blocking = loud", "backchannel_blocking = 'loud': choose one of 'off', 'warn', 'error'"),
        ("backchannel_strict = perhaps", "backchannel_strict*'perhaps'*give true or false"),
        ("backchannel_on_commit = 7", "backchannel_on_commit*'7'*give true or false"),
        (
            "backchannel_worker_queues = -Q celery",
            "backchannel_worker_queues = '-Q celery': '-Q' is no queue: give the names alone*",
        ),
        (
            "backchannel_production_settings = config/production.py",
            "backchannel_production_settings = 'config/production.py': give 'package.module'*",
        ),
    ],
)
def test_a_bad_value_names_itself_and_the_choices(pytester, line, message):
    pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{line}\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{message}"])


@pytest.mark.parametrize(
    ("flag", "message"),
    [
        (
            "--backchannel-redis-url=127.0.0.1",
            "*begins with 'no scheme': give a url such as redis*",
        ),
        (
            "--backchannel-redis-url=redis://:hidden/x@h",
            "*its port is no number*such as redis*",
        ),
        (
            "--backchannel-rabbitmq-url=http://h",
            "*begins with 'http://': give a url such as amqp*",
        ),
        ("--backchannel-asgi-server=gunicorn", "*'gunicorn'*uvicorn*daphne*"),
        ("--backchannel-audit=thrice", "*there is no 'thrice': choose of twice, crash, rollback*"),
        ("--backchannel-audit=twice,", "*there is no '': choose of twice, crash, rollback*"),
        ("--backchannel-audit-fail-under=most", " = 'most': give a number from 0 to 100, such as 85"),
        ("--backchannel-audit-fail-under=101", " = '101': give a number from 0 to 100, such as 85"),
    ],
)
def test_a_bad_flag_names_itself_and_shows_no_password(pytester, flag, message):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    result = pytester.runpytest_subprocess(flag)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{flag.partition('=')[0]}{message}"])
    result.stderr.no_fnmatch_line("*hidden*")


APP, PRODUCTION = "backchannel_celery_app", "backchannel_production_settings"
NAMED = [
    # What is named, and what is said of it.
    (APP, "depot.celery", ": that is a module, and no Celery app: give 'depot.celery:app'"),
    (APP, "depot.celery:ap", " can't be imported: 'depot.celery' has no 'ap': give 'depot.celery:app'"),
    (
        APP,
        "depot.celery:number",
        ": that is an object of the type 'int', and no Celery app: give 'depot.celery:app'",
    ),
    (APP, "depot.gone:app", " can't be imported: No module named 'depot.gone'"),
    (APP, "depot.broken:app", " can't be imported: ValueError: no key"),
    (APP, "depot.empty:app", " can't be imported: 'depot.empty' has no 'app': give 'package.module:attribute'*"),
    (PRODUCTION, "depot.gone", " can't be read: there is no such module*give 'package.module'*"),
]


@pytest.mark.parametrize(
    ("option", "value", "message", "flags"), [*((*named, ()) for named in NAMED), (*NAMED[0], ("-n1",))]
)
def test_what_an_option_names_is_looked_for_before_the_first_test(pytester, option, value, message, flags):
    for name, text in {
        "__init__": "",
        "celery": "from celery import Celery\napp = Celery('depot', set_as_current=False)\nnumber = 3\n",
        "broken": "raise ValueError('no key')\n",
        "empty": "",
    }.items():
        path = pytester.path / "depot" / f"{name}.py"
        path.parent.mkdir(exist_ok=True)
        path.write_text(text)
    pytester.makeini(f"[pytest]\npythonpath = .\nasyncio_default_fixture_loop_scope = function\n{option} = {value}\n")
    pytester.makepyfile("def test_it(): pass\n")
    result = pytester.runpytest_subprocess("-p", "no:django", *flags)
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{option} = {value!r}{message}"])
    assert "Traceback" not in result.stderr.str()
    result.stdout.no_fnmatch_line("*passed*")


def test_an_app_of_a_name_without_a_colon_is_taken(pytester):
    (pytester.path / "depot.py").write_text("from celery import Celery\napp = Celery('depot', set_as_current=False)\n")
    pytester.makeini(
        "[pytest]\npythonpath = .\nasyncio_default_fixture_loop_scope = function\nbackchannel_celery_app = depot.app\n"
    )
    pytester.makepyfile("def test_it(task_queue): assert task_queue.app.main == 'depot'\n")
    pytester.runpytest_subprocess("-p", "no:django").assert_outcomes(passed=1)


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("backchannel_audit_allow = shop.tasks.ping", "*'shop.tasks.ping' has no reason: give a task and its reason*"),
        ("backchannel_audit_allow = : why", "*': why' has no task: give a task and its reason*"),
        ("backchannel_audit_task_seconds = long", "*'long': give a number of seconds above 0*"),
        ("backchannel_audit_suite_seconds = 0", "*'0': give a number of seconds above 0*"),
        ("backchannel_audit_fail_under = -1", "*backchannel_audit_fail_under = '-1': give a number from 0 to 100*"),
    ],
)
def test_a_bad_option_of_the_audit(pytester, line, message):
    pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{line}\n")
    result = pytester.runpytest_subprocess("--backchannel-audit")
    assert result.ret == 4
    result.stderr.fnmatch_lines([message])


def audit_of(pytester, *arguments):
    return options_of(pytester.parseconfig(*arguments)).audit


def test_what_the_audit_is_asked_for(pytester):
    pytester.makeini(
        "[pytest]\nasyncio_default_fixture_loop_scope = function\n"
        "backchannel_audit_allow =\n  shop.tasks.*: a toy: it is\n"
    )
    assert audit_of(pytester) is None
    everything = audit_of(pytester, "--backchannel-audit")
    assert everything.kinds == ("twice", "crash", "rollback")
    assert (everything.task_seconds, everything.suite_seconds) == (10, 300)
    assert everything.reason("shop.tasks.ping") == "a toy: it is"
    assert everything.reason("billing.tasks.ping") == ""
    some = audit_of(pytester, "--backchannel-audit=rollback,twice")
    assert some.kinds == ("twice", "rollback")
    assert some.wants("crash", "rollback")
    assert not some.wants("crash")
    assert audit_of(pytester, "--backchannel-audit-json=a.json").json == "a.json"
    assert audit_of(pytester, "--backchannel-audit-html=a.html").html == "a.html"
    assert everything.fail_under is None
    assert audit_of(pytester, "--backchannel-audit-fail-under=62.5").fail_under == 62.5


@pytest.mark.parametrize("path", ["tests", "tests/test_it.py", "tests/test_it.py::test_it"])
def test_a_path_that_the_audit_takes_for_its_value(pytester, path):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.mkdir("tests").joinpath("test_it.py").write_text("def test_it(): pass\n")
    result = pytester.runpytest_subprocess("--backchannel-audit", path)
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        [
            f"*--backchannel-audit has taken the path '{path}' *pytest {path} --backchannel-audit*"
            f"--backchannel-audit=twice,crash,rollback {path}*"
        ]
    )


def test_a_share_of_no_task(pytester):
    with pytest.raises(
        pytest.UsageError, match=r"=50: .* --backchannel-audit=rollback audits none: add twice or crash"
    ):
        audit_of(pytester, "--backchannel-audit-fail-under=50", "--backchannel-audit=rollback")


def test_a_page_needs_its_extra(pytester, monkeypatch):
    for name in [name for name in sys.modules if name.startswith("pytest_backchannel.questions.report.page")]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.delitem(sys.modules, "pytest_backchannel.questions.report.formats.html_page", raising=False)
    monkeypatch.setitem(sys.modules, "jinja2", None)
    with pytest.raises(pytest.UsageError, match=r"--backchannel-audit-html=a.html: .*pytest-backchannel\[report\]"):
        audit_of(pytester, "--backchannel-audit-html=a.html")


@pytest.mark.parametrize("arguments", ["'t'", "reason='r'", "'t', reason=''", "1, reason='r'", "'t', reason='r', x=1"])
def test_allow_audit_needs_tasks_and_a_reason(pytester, arguments):
    pytester.makeini("[pytest]\nasyncio_default_fixture_loop_scope = function\n")
    pytester.makepyfile(
        f"import pytest\n\n@pytest.mark.allow_audit({arguments})\ndef test_a(): pass\n\ndef test_b(): pass\n"
    )
    result = pytester.runpytest_subprocess("-p", "no:randomly")
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*allow_audit takes the names of tasks*and reason=*"])
