"""The process that becomes a worker: it imports the project once, and each worker is a fork of it.

Importing Django, Celery and a project takes about a second, and a test that kills its worker needs another. So one
process imports everything, opens no connection and starts no thread of its own; each ``fork`` of it configures the app
and runs Celery's own ``worker`` command. It talks with ``template.py`` in JSON lines: requests on standard input,
answers on what was standard output; what the project prints goes to the log.
"""

from __future__ import annotations

import contextlib
import importlib
import json
import multiprocessing
import os
import select
import signal
import sys
import traceback
from typing import Any, NoReturn

from .bound_conf import rebind, remember_what_tasks_leave_open


def main() -> None:
    """Import the project as the first line on standard input says, then fork a worker for each further line."""
    answers = os.dup(1)
    os.dup2(2, 1)
    lines = _Lines()
    try:
        app = _import_project(json.loads(lines.read()))
    except BaseException:
        _answer(answers, error=traceback.format_exc())
        raise SystemExit(1) from None
    _answer(answers, imported=os.getpid())

    wake_read, wake_write = os.pipe()
    os.set_blocking(wake_write, False)
    os.set_blocking(wake_read, False)
    signal.set_wakeup_fd(wake_write)
    signal.signal(signal.SIGCHLD, lambda *_: None)  # without a handler, the wake-up pipe stays silent
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    while True:
        ready, _, _ = select.select([0, wake_read], [], [])
        if wake_read in ready:
            with contextlib.suppress(BlockingIOError):
                os.read(wake_read, 4096)
            _reap(answers)
        if 0 in ready:
            line = lines.read()
            if not line:
                return
            _fork(app, json.loads(line), answers, close=(wake_read, wake_write))


class _Lines:
    """Lines of standard input, unbuffered beyond what was read: ``select`` must not miss a buffered one."""

    def __init__(self) -> None:
        self._rest = b""

    def read(self) -> str:
        while b"\n" not in self._rest:
            chunk = os.read(0, 65536)
            if not chunk:
                return ""
            self._rest += chunk
        line, _, self._rest = self._rest.partition(b"\n")
        return line.decode()


def _answer(fd: int, **message: Any) -> None:
    # One write of less than PIPE_BUF is atomic: the workers write here too. A long traceback is the only exception, and
    # is written before there are any.
    os.write(fd, json.dumps(message).encode() + b"\n")


def _import_project(start: dict[str, Any]) -> Any:
    sys.path[:] = start["path"]
    _use_folder(start["folder"])
    remember_what_tasks_leave_open()
    if start["settings"]:
        _set_up_django(start)
    module, _, attribute = start["app"].partition(":")
    app = getattr(importlib.import_module(module), attribute)
    app.loader.import_default_modules()
    app.finalize()
    for name in ("celery.bin.worker", "celery.worker.worker", "celery.worker.consumer", "celery.concurrency.prefork"):
        importlib.import_module(name)
    if start["settings"]:
        from django.db import connections

        connections.close_all()
    return app


# --- private API: multiprocessing.util.get_temp_dir, seen on Python 3.11–3.14, which billiard uses too: the folder for
# --- what processes share. It is removed when its process ends in peace, and so not after a run that is killed.


def _use_folder(folder: str) -> None:
    """Let multiprocessing keep its files in the template's folder, which goes with the run, however that ends."""
    vars(multiprocessing.current_process())["_config"]["tempdir"] = folder


# --- end of private API


def _set_up_django(start: dict[str, Any]) -> None:
    os.environ["DJANGO_SETTINGS_MODULE"] = start["settings"]
    from django.conf import settings

    for alias, values in start["databases"].items():
        settings.DATABASES[alias].update(values)
    if start["channel_layers"] is not None:
        settings.CHANNEL_LAYERS = start["channel_layers"]
    import django

    django.setup()
    from django.test.utils import setup_test_environment

    # As in the test's own process: above all, no mail leaves.
    setup_test_environment(debug=settings.DEBUG)


def _reap(answers: int) -> None:
    while True:
        try:
            pid, status = os.waitpid(-1, os.WNOHANG)
        except ChildProcessError:
            return
        if not pid:
            return
        _answer(answers, ended=pid, code=os.waitstatus_to_exitcode(status))


def _fork(app: Any, request: dict[str, Any], answers: int, *, close: tuple[int, int]) -> None:
    pid = os.fork()
    if pid:
        _answer(answers, forked=pid)
        return
    code = 1
    try:
        signal.set_wakeup_fd(-1)
        for fd in close:
            os.close(fd)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        signal.signal(signal.SIGINT, signal.default_int_handler)
        os.setsid()
        null = os.open(os.devnull, os.O_RDONLY)
        os.dup2(null, 0)
        log = os.open(request["log"], os.O_WRONLY | os.O_APPEND | os.O_CREAT)
        os.dup2(log, 1)
        os.dup2(log, 2)
        _become_worker(app, request, answers)
    except SystemExit as error:
        code = error.code if isinstance(error.code, int) else 1
    except BaseException as error:
        code = getattr(error, "exit_code", 1)
        message = getattr(error, "format_message", None)
        if message is not None:  # click's, for a bad argument: its traceback says nothing more
            print(message(), file=sys.stderr)
        else:
            traceback.print_exc()
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)


def _become_worker(app: Any, request: dict[str, Any], answers: int) -> NoReturn:
    from celery.signals import worker_ready

    # A test container runs as root; Celery then refuses pickle, unless told that this is meant.
    os.environ.setdefault("C_FORCE_ROOT", "true")
    os.environ.update(request["environment"])
    # In front of everything, under whatever name the project has set it.
    app.conf.finalize()
    app.conf.maps.insert(0, request["conf"])
    rebind(app, request["conf"])
    app.set_current()

    def ready(**_: Any) -> None:
        _answer(answers, ready=os.getpid())

    worker_ready.connect(ready, weak=False)
    if request["declarations"]:
        from ..brokers.declarations import Declarations

        Declarations(*request["declarations"]).watch()
    if request["reports"]:
        from .instrument import instrument

        instrument(app, *request["reports"])
    with contextlib.ExitStack() as stack:
        if request["setup"]:
            # Before the pool forks: what it replaces is replaced in each child too.
            from .setup_hook import begin

            begin(request["setup"], stack)
        app.worker_main(request["arguments"])
    raise SystemExit(0)


if __name__ == "__main__":
    main()
