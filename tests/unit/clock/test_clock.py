"""Time that stands still until it is moved: the clock, sleeps, and what is as before afterwards."""

from __future__ import annotations

import asyncio
import subprocess
import sys
import threading
import time
import types
from datetime import UTC, datetime, timedelta
from time import monotonic as bound_monotonic
from time import sleep as bound_sleep
from unittest.mock import patch

import pytest

from pytest_backchannel.clock import virtual as clock_module
from pytest_backchannel.clock.virtual import Slept, VirtualClock, active_clock
from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.events import begin_log, end_log

REAL = {name: getattr(time, name) for name in ("sleep", "monotonic", "monotonic_ns", "perf_counter", "perf_counter_ns")}


@pytest.fixture(autouse=True)
def log():
    yield begin_log()
    end_log()


@pytest.fixture(autouse=True)
def quick():
    """No test here may wait."""
    started = REAL["perf_counter"]()
    yield
    assert REAL["perf_counter"]() - started < 3


def test_time_stands_still_and_moves():
    with VirtualClock() as clock:
        start = clock.time()
        assert start == int(start) == time.time() == clock.now.timestamp()
        clock.shift(1.5)
        clock.shift(timedelta(minutes=1))
        assert clock.time() - start == 61.5
        assert datetime.now(UTC).timestamp() == start + 61.5


def test_it_begins_at_the_next_whole_second():
    before = time.time()
    with VirtualClock() as clock:
        assert before <= clock.time() < before + 1.01


def test_it_begins_where_it_is_told():
    when = datetime(2030, 1, 1, tzinfo=UTC)
    with VirtualClock(when) as clock:
        assert clock.now == when
    with VirtualClock(86400) as clock:
        assert clock.time() == 86400


def test_move_to_goes_forward_and_back_but_monotonic_never_back():
    with VirtualClock() as clock:
        first = time.monotonic()
        clock.move_to(datetime(2040, 1, 1, tzinfo=UTC))
        second = time.monotonic()
        assert clock.now == datetime(2040, 1, 1, tzinfo=UTC)
        assert second - first > 86400 * 365
        clock.move_to(0)
        assert clock.time() == 0
        assert time.monotonic() >= second


def test_sleep_returns_at_once_moves_the_clock_and_is_recorded(log):
    with VirtualClock() as clock:
        start = clock.time()
        time.sleep(60)
        bound_sleep(0.25)
        assert clock.time() - start == 60.25
    assert [(sleep.seconds, sleep.kind) for sleep in clock.sleeps] == [(60, "time.sleep"), (0.25, "time.sleep")]
    where = clock.sleeps[0].where
    assert where is not None
    assert where.path == __file__
    assert where.function == "test_sleep_returns_at_once_moves_the_clock_and_is_recorded"
    assert log.of(Slept) == clock.sleeps
    assert clock.sleeps[0].headline() == "time.sleep(60)"


def test_a_bad_sleep_fails_as_the_real_one_does():
    with VirtualClock() as clock:
        with pytest.raises(ValueError, match="non-negative"):
            time.sleep(-1)
        with pytest.raises(TypeError):
            time.sleep("1")
        time.sleep(0)
        assert clock.sleeps == []


def test_monotonic_and_perf_counter_leap_by_what_was_slept():
    with VirtualClock() as clock:
        before = [
            time.monotonic(),
            bound_monotonic(),
            time.perf_counter(),
            time.monotonic_ns() / 1e9,
            time.perf_counter_ns() / 1e9,
        ]
        clock.shift(100)
        after = [
            time.monotonic(),
            bound_monotonic(),
            time.perf_counter(),
            time.monotonic_ns() / 1e9,
            time.perf_counter_ns() / 1e9,
        ]
    assert all(100 <= b - a < 101 for a, b in zip(before, after, strict=True))


def test_a_polling_loop_with_a_monotonic_deadline_ends():
    with VirtualClock() as clock:
        deadline = time.monotonic() + 30
        while time.monotonic() < deadline:
            time.sleep(1)
        assert 29 <= len(clock.sleeps) <= 30


def test_a_loop_that_sleeps_for_ever_is_stopped(monkeypatch):
    monkeypatch.setattr(clock_module, "MAX_SLEEPS", 50)

    def for_ever():
        while True:
            time.sleep(1)

    with VirtualClock(), pytest.raises(BackchannelError, match=r"50 times \(50 virtual .*test_clock.py:\d+ waits"):
        for_ever()


def test_everything_is_as_before_afterwards_also_after_a_failure():
    loop_functions = dict(vars(asyncio.BaseEventLoop))

    def fail_inside():
        with VirtualClock():
            assert time.sleep is not REAL["sleep"]
            raise RuntimeError("inside")

    with pytest.raises(RuntimeError, match="inside"):
        fail_inside()
    assert {name: getattr(time, name) for name in REAL} == REAL
    assert bound_sleep is REAL["sleep"]
    assert sys.modules[__name__].bound_monotonic is REAL["monotonic"]
    assert dict(vars(asyncio.BaseEventLoop)) == loop_functions
    assert active_clock() is None
    assert abs(time.time() - REAL["monotonic"]() - (time.time() - time.monotonic())) < 0.1


def test_nested_clocks_are_one():
    with VirtualClock() as outer:
        with VirtualClock() as inner:
            assert inner is outer is active_clock()
            inner.shift(5)
        assert active_clock() is outer
        start = outer.time()
        with VirtualClock(start + 60):
            assert outer.time() == start + 60
        time.sleep(1)
        assert outer.time() == start + 61
    assert active_clock() is None


def test_a_clock_can_be_used_again():
    clock = VirtualClock()
    for _ in range(2):
        with clock:
            time.sleep(1)
            assert len(clock.sleeps) == 1


def test_a_clock_that_is_not_active_can_not_move():
    with pytest.raises(BackchannelError, match="is not active"):
        VirtualClock().shift(1)
    with pytest.raises(BackchannelError, match="is not active"):
        VirtualClock().__exit__()


@pytest.mark.parametrize(
    ("call", "error", "text"),
    [
        (lambda c: c.shift("1"), TypeError, "shift.. takes seconds or a timedelta, not '1'"),
        (lambda c: c.shift(True), TypeError, "not True"),
        (lambda c: c.shift(-1), ValueError, r"-1 s can't be. To go back, use move_to"),
        (lambda c: c.shift(float("nan")), ValueError, "nan"),
        (lambda c: c.move_to(datetime(2030, 1, 1)), ValueError, "has no time zone"),
        (lambda c: c.move_to("tomorrow"), TypeError, "not 'tomorrow'"),
        (lambda c: c.move_to(float("inf")), TypeError, "not inf"),
    ],
)
def test_bad_arguments(call, error, text):
    with VirtualClock() as clock, pytest.raises(error, match=text):
        call(clock)


def test_another_traveller_inside_is_told():
    import time_machine

    with VirtualClock() as clock, time_machine.travel(0, tick=False), pytest.raises(BackchannelError, match="did not"):
        clock.shift(10)


def test_it_begins_where_time_machine_has_moved_time():
    import time_machine

    with time_machine.travel(1000.5, tick=False):
        with VirtualClock() as clock:
            assert clock.time() == 1000.5
        assert time.time() == 1000.5


def test_the_time_zone_of_the_process_is_not_touched():
    before = time.tzname, time.localtime(0).tm_hour
    with VirtualClock(datetime(2030, 1, 1, tzinfo=UTC)) as clock:
        clock.move_to(datetime(2031, 1, 1, tzinfo=UTC))
        assert (time.tzname, time.localtime(0).tm_hour) == before


def test_without_time_machine_the_error_says_what_to_install():
    # In a process of its own: where time-machine has patched the clocks, taking it away can end the process.
    code = """
import sys
sys.modules["time_machine"] = None
from pytest_backchannel.clock.virtual import VirtualClock, active_clock
try:
    VirtualClock().__enter__()
except Exception as error:
    print(type(error).__name__, error, active_clock())
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == (
        "BackchannelError a virtual clock needs time-machine, which is not installed: "
        "pip install 'pytest-backchannel[celery]' (or [channels]) None\n"
    )


def test_a_time_machine_that_stops_monotonic_is_refused(monkeypatch):
    import time_machine

    monkeypatch.setattr(time_machine, "Coordinates", object, raising=False)
    with pytest.raises(BackchannelError, match="needs time-machine 3 or newer"), VirtualClock():
        pass
    assert active_clock() is None


def test_a_mock_of_the_tests_own_stays():
    with patch("time.sleep") as mock, VirtualClock() as clock:
        time.sleep(60)
        assert clock.sleeps == []
    mock.assert_called_once_with(60)
    with VirtualClock(), patch("time.sleep") as mock:
        time.sleep(60)
    mock.assert_called_once_with(60)
    assert time.sleep is REAL["sleep"]


def test_a_mock_of_asyncio_sleep_is_still_an_async_one():
    from unittest.mock import AsyncMock

    with VirtualClock(), patch("asyncio.sleep") as mock:
        assert isinstance(mock, AsyncMock)


@pytest.fixture
def module(tmp_path):
    """Make a module with a reference to sleep, in the project or in an installed package."""
    made = []

    def make(name, path):
        module = types.ModuleType(name)
        module.__file__ = str(tmp_path / path)
        source = "from time import sleep, monotonic\ndef nap(): sleep(60)\ndef call(f): f()\n"
        exec(compile(source, module.__file__, "exec"), vars(module))
        sys.modules[name] = module
        made.append(name)
        return module

    yield make
    for name in made:
        del sys.modules[name]


def test_references_of_modules_are_replaced_and_restored(module):
    own, installed = module("own", "own.py"), module("installed", "site-packages/installed.py")
    for _ in range(2):
        with VirtualClock() as clock:
            own.nap()
            installed.nap()
            assert len(clock.sleeps) == 2
            assert installed.monotonic is REAL["monotonic"]
            assert own.monotonic is not REAL["monotonic"]
        assert own.sleep is installed.sleep is REAL["sleep"]
        assert own.monotonic is REAL["monotonic"]


def test_a_module_imported_meanwhile_gets_the_real_functions_back(module):
    with VirtualClock() as clock:
        late = module("late", "site-packages/late.py")
        late.nap()
        assert len(clock.sleeps) == 1
    assert late.sleep is REAL["sleep"]
    assert late.monotonic is REAL["monotonic"]


def test_a_sleep_without_the_projects_code_on_its_stack_is_real(module):
    installed = module("installed", "site-packages/installed.py")
    with VirtualClock() as clock:
        thread = threading.Thread(target=time.sleep, args=(0.05,))
        started = REAL["perf_counter"]()
        thread.start()
        thread.join()
        assert REAL["perf_counter"]() - started >= 0.05
        assert clock.sleeps == []
        thread = threading.Thread(target=installed.call, args=(lambda: time.sleep(30),))
        thread.start()
        thread.join()
        assert [sleep.seconds for sleep in clock.sleeps] == [30]


def test_what_waits_for_another_process_sleeps_for_real(module):
    waiter = module("mirakuru.base", "site-packages/mirakuru/base.py")
    vars(waiter)["sleep"] = time.sleep
    with VirtualClock() as clock:
        waiter.sleep = time.sleep
        started = REAL["perf_counter"]()
        exec("import time\ndef wait(): time.sleep(0.02)", vars(waiter))
        waiter.wait()
        assert REAL["perf_counter"]() - started >= 0.02
        assert clock.sleeps == []


def test_threads_may_sleep_at_the_same_time():
    with VirtualClock() as clock:
        start = clock.time()
        threads = [threading.Thread(target=lambda: [time.sleep(1) for _ in range(50)]) for _ in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert clock.time() - start == 200


def test_what_only_says_that_it_is_a_module_is_passed_over(monkeypatch):
    """cffi puts such objects into sys.modules, and with it every project that imports cryptography."""

    class Library:
        __slots__ = ()
        __class__ = type(sys)

    monkeypatch.setitem(sys.modules, "project_library.lib", Library())
    with VirtualClock() as clock:
        time.sleep(5)
    assert [sleep.seconds for sleep in clock.sleeps] == [5]
