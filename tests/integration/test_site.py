"""The example's site, run for real: it starts, stops, restarts, and says what is wrong."""

from __future__ import annotations

import os
import signal
import socket
import sqlite3
import urllib.request

import pytest
from site_process import Site, alive
from support.until import until

pytestmark = [pytest.mark.celery_integration, pytest.mark.slow]


@pytest.fixture
def sites():
    """Sites that are stopped at the end, whatever happened."""
    started: list[Site] = []

    def start(*arguments):
        started.append(Site(*arguments))
        return started[-1]

    yield start
    for site in started:
        site.close()


def invoices(data):
    connection = sqlite3.connect(data / "site.sqlite3")
    try:
        return connection.execute("select count(*) from billing_invoice").fetchone()[0]
    finally:
        connection.close()


def test_it_starts_stops_restarts_and_notices_a_dead_worker(tmp_path, sites):
    data = tmp_path / "data"
    site = sites(data).wait_ready()
    assert "ada or grace, password demo" in site.output
    with urllib.request.urlopen(site.url, timeout=5) as answer:
        assert "Sign in" in answer.read().decode()
    assert set(site.pids()) == {"redis", "worker", "beat", "web"}
    family = site.family()
    assert {process.pid for process in family} >= set(site.pids().values())
    made = invoices(data)
    assert made >= 5

    code, output = sites(data).end(signal.SIGCONT)
    assert code == 1
    assert f"a site runs in {data} already" in output

    code, output = site.end(signal.SIGINT)
    assert code == 0, output
    assert alive(family, within=5) == []
    assert not (data / "site.json").exists()

    site = sites(data).wait_ready()
    assert invoices(data) == made
    family = site.family()
    os.kill(site.pids()["worker"], signal.SIGKILL)
    site.process.wait(timeout=30)
    code, output = site.end()
    assert code == 1
    assert "worker has ended; the last lines of its log:" in output
    assert alive(family, within=5) == []


def test_killed_it_leaves_nothing_behind(tmp_path, sites):
    site = sites(tmp_path).wait_ready()
    family = site.family()
    site.process.kill()
    assert alive(family, within=10) == []


def test_stopped_while_it_starts_it_leaves_nothing_behind(tmp_path, sites):
    site = sites(tmp_path)
    family = until(lambda: site.family(), 20, "the first process of the site")
    code, output = site.end(signal.SIGTERM)
    assert code == 0, output
    assert alive(family, within=5) == []


def test_a_port_that_is_taken(tmp_path, sites):
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        code, output = sites(tmp_path, "--port", str(port)).end(signal.SIGCONT)
    assert code == 1
    assert f"port {port} is taken: choose another one" in output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("--port", "99999"), "'99999' is no port: choose one from 1 to 65535"),
        (("--port=-1",), "'-1' is no port"),
        (("--port", "0", "--data", "/proc/nowhere"), "can't keep data in /proc/nowhere"),
    ],
)
def test_what_can_not_be_is_told_without_a_traceback(tmp_path, sites, arguments, message):
    code, output = sites(tmp_path, *arguments).end(signal.SIGCONT)
    assert code in (1, 2)
    assert message in output
    assert "Traceback" not in output
