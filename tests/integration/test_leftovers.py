"""Nothing stays behind and nobody meets: an ended, interrupted, killed run; workers of pytest-xdist; parallel runs."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest
from support.until import until

from pytest_backchannel.servers.brokers.redis import command, start_redis
from pytest_backchannel.servers.process import free_port

pytestmark = pytest.mark.celery_integration

FILE_DATABASE = """
    import os
    DATABASES["default"]["TEST"] = {"NAME": os.path.join(os.path.dirname(__file__), "test.sqlite3")}
"""
LINGERING = """
    import os, time
    from pathlib import Path
    from shop.tasks import add

    def test_it(worker_process, rabbitmq_server):
        worker_process(broker="redis")
        assert add.delay(1, 2).get(timeout=10) == 3
        Path("ready").touch()
        time.sleep(60)
"""


def start_run(project, token):
    project.settings(FILE_DATABASE)
    project.write("test_it.py", LINGERING)
    # Every process of the run inherits the token, and so is found wherever it went.
    run = subprocess.Popen(
        [sys.executable, "-m", "pytest", "-q", "test_it.py"],
        cwd=project.path,
        env={**os.environ, "LEFTOVER_TOKEN": token, "TMPDIR": str(project.path)},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
        # A shell without job control starts what it puts in the background with Ctrl-C ignored, and so would this be.
        preexec_fn=lambda: signal.signal(signal.SIGINT, signal.SIG_DFL),
    )
    deadline = time.monotonic() + 90
    while not (project.path / "ready").exists():
        if run.poll() is not None or time.monotonic() > deadline:
            run.kill()
            pytest.fail(run.communicate()[0])
        time.sleep(0.1)
    return run


def of_the_run(project, token):
    found = []
    for process in psutil.process_iter():
        with contextlib.suppress(psutil.Error):
            # Redis writes its title over its environment, and works in its data folder.
            ours = process.environ().get("LEFTOVER_TOKEN") == token or process.cwd().startswith(f"{project.path}/back")
            if ours and process.status() != psutil.STATUS_ZOMBIE:
                found.append(process)
    return found


def assert_nothing_left(project, token):
    deadline = time.monotonic() + 20
    while left := of_the_run(project, token):
        assert time.monotonic() < deadline, [process.cmdline() for process in left]
        time.sleep(0.1)
    while folders := [*project.path.glob("backchannel-*"), *project.path.glob("pymp-*")]:
        assert time.monotonic() < deadline, folders
        time.sleep(0.1)


@pytest.mark.parametrize("sent", [signal.SIGINT, signal.SIGTERM, signal.SIGKILL], ids=["ctrl-c", "term", "kill"])
def test_a_run_that_ends_early_leaves_no_process_and_no_folder(project, sent):
    token = f"{os.getpid()}-{sent}"
    with start_run(project, token) as run:
        names = " ".join(" ".join(process.cmdline()) for process in of_the_run(project, token))
        run.send_signal(sent)
        run.communicate(timeout=60)
    for expected in ("-server", "beam.smp", "epmd", "watchdog_script.py", "workers.bootstrap"):
        assert expected in names
    assert_nothing_left(project, token)


HOLDS_POSTGRESQL = """
import time
from support.postgres import postgres_server

with postgres_server():
    print("ready", flush=True)
    time.sleep(60)
"""


def test_the_suites_own_postgresql_ends_with_a_run_that_is_killed():
    run = subprocess.Popen(
        [sys.executable, "-c", HOLDS_POSTGRESQL],
        env={**os.environ, "PYTHONPATH": os.pathsep.join(filter(None, sys.path))},
        stdout=subprocess.PIPE,
        text=True,
    )
    with run:
        assert run.stdout.readline() == "ready\n"
        servers = psutil.Process(run.pid).children(recursive=True)
        folders = set()
        for server in servers:
            # PostgreSQL has children that end at once, perhaps as they are asked.
            with contextlib.suppress(psutil.NoSuchProcess):
                if server.name() == "postgres":
                    folders.add(Path(server.cwd()).parent)
        # Of one that ends in this moment nothing is known any more.
        (folder,) = [folder for folder in folders if folder.name.startswith("backchannel-postgres-")]
        run.kill()
    _, alive = psutil.wait_procs(servers, timeout=30)
    assert alive == []
    until(lambda: not folder.exists(), 30, f"the watchdog removes {folder}, which the killed run has left")


ISOLATED = """
    import os, time
    from shop.tasks import add
    from config import celery_app as app

    def check(worker_process):
        worker = worker_process()
        assert [add.delay(i, 1).get(timeout=20) for i in range(5)] == [1, 2, 3, 4, 5]
        assert worker.log.count("] received") == 5  # its own, and nobody else's

    def test_a(worker_process): check(worker_process)
    def test_b(worker_process): check(worker_process)
    def test_c(worker_process): check(worker_process)
"""


def test_xdist_workers_do_not_meet(project):
    project.settings(FILE_DATABASE)
    project.test(ISOLATED, "-n2").assert_outcomes(passed=3)


@pytest.fixture
def redis():
    server = start_redis()
    yield server
    server.close()


def test_two_runs_on_one_given_redis_do_not_meet(project, redis):
    project.settings(FILE_DATABASE)
    project.settings('DATABASES["default"]["TEST"]["NAME"] += os.environ.get("DATABASE_SUFFIX", "")')
    project.write("test_it.py", ISOLATED)
    command("127.0.0.1", redis.port, "SET", "foreign", "1")
    runs = [
        subprocess.Popen(
            [sys.executable, "-m", "pytest", "-q", "test_it.py", f"--backchannel-redis-url={redis.url}"],
            cwd=project.path,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            env={**os.environ, "DATABASE_SUFFIX": str(number)},
        )
        for number in range(2)
    ]
    for run in runs:
        output = run.communicate(timeout=120)[0]
        assert "3 passed" in output, output
    # The database that held something was left alone; those that were used are empty again.
    assert command("127.0.0.1", redis.port, "GET", "foreign") == b"$1"
    for number in range(1, 16):
        import redis as client

        with client.Redis.from_url(redis.database(number)) as database:
            assert database.dbsize() == 0


def test_a_given_server_can_not_be_stopped(project, redis):
    result = project.test(
        """
        def test_it(redis_server):
            redis_server.stop()
        """,
        f"--backchannel-redis-url=redis://:secretpassword@127.0.0.1:{redis.port}/0",
    )
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*--backchannel-redis-url (redis://:***@127.0.0.1*"])
    result.stdout.no_fnmatch_line("*secretpassword*")
    closed = free_port()
    result = project.run("test_it.py", f"--backchannel-redis-url=redis://:secretpassword@127.0.0.1:{closed}/0")
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines([f"*--backchannel-redis-url=redis://:[*][*][*]@127.0.0.1:{closed}/0: ConnectionError*"])
    result = project.run("test_it.py", f"--backchannel-redis-url={redis.url}")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        ["*redis_server is the one of --backchannel-redis-url*can't stop, start, pause or kill it*"]
    )
    result = project.run("test_it.py", "--backchannel-redis-url=127.0.0.1:6379")
    assert result.ret == 4
    result.stderr.fnmatch_lines(
        ["*--backchannel-redis-url begins with 'no scheme': give a url such as redis://127.0.0.1"]
    )


@pytest.mark.parametrize("ci", [False, True])
def test_a_missing_binary_skips_and_fails_in_a_ci(project, monkeypatch, ci):
    project.write(
        "conftest.py",
        """
        import pytest
        from pytest_backchannel.servers.brokers import rabbitmq

        @pytest.fixture(autouse=True, scope="session")
        def nothing_installed():
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(rabbitmq, "find_binary", lambda *names, **_: None)
                patch.setattr(rabbitmq, "DEBIAN", "/nowhere")
                yield
        """,
    )
    monkeypatch.setenv("CI", "true" if ci else "")
    result = project.test("def test_it(rabbitmq_server): pass", "-rs")
    result.assert_outcomes(errors=1 if ci else 0, skipped=0 if ci else 1)
    result.stdout.fnmatch_lines(["*no RabbitMQ: rabbitmq-server is not on PATH*apt-get install rabbitmq-server*"])


def test_a_project_may_have_fixtures_of_the_same_names(project):
    project.settings(FILE_DATABASE)
    result = project.test(
        """
        import pytest
        from shop.tasks import add

        @pytest.fixture
        def redis_server():
            return "mine"

        def test_it(redis_server, worker_process):
            assert redis_server == "mine"
            worker_process()
            assert add.delay(1, 2).get(timeout=10) == 3
        """
    )
    result.assert_outcomes(passed=1)


def test_the_watchdog_ends_with_the_run_and_a_unit_run_has_none(project):
    result = project.test(
        """
        import sys

        def test_it():
            loaded = {name for name in sys.modules if name.startswith("pytest_backchannel.servers.")}
            assert loaded <= {"pytest_backchannel.servers.redis_reached"}  # it starts nothing
        """
    )
    result.assert_outcomes(passed=1)
    assert Path(project.path).exists()
