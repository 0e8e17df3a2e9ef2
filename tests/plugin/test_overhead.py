"""What a test that uses none of the fixtures pays: no log, no hook around fixtures; and nothing is left in place."""

from __future__ import annotations

CONFTEST = """
    import asgiref.testing
    import celery
    import channels.consumer
    import channels.layers
    import kombu
    import pytest

    PLACES = [
        *((channels.layers.InMemoryChannelLayer, name)
          for name in ("new_channel", "group_add", "send", "receive", "group_send")),
        *((asgiref.testing.ApplicationCommunicator, name) for name in ("future", "receive_output", "stop")),
        (channels.consumer, "await_many_dispatch"),
        (kombu.Connection, "_establish_connection"),
    ]

    def replaced():
        return {name for (owner, name), before in zip(PLACES, BEFORE) if vars(owner)[name] is not before}

    BEFORE = [vars(owner)[name] for owner, name in PLACES]

    def pytest_runtest_logfinish(nodeid):
        assert not replaced(), f"after {nodeid}"

    def around_fixtures(config):
        hooks = config.hook.pytest_fixture_setup.get_hookimpls()
        return [hook for hook in hooks if hook.function.__module__.startswith("pytest_backchannel")]
"""


def test_it_pays_for_no_log_and_no_hook_around_fixtures(project):
    project.write("conftest.py", CONFTEST)
    result = project.test(
        """
        import sys
        import pytest
        from conftest import PLACES, around_fixtures, replaced
        from pytest_backchannel.events import current_log, log_in_use

        @pytest.fixture
        def fixture(): yield

        def test_observed(fixture, pytestconfig):
            assert replaced() == {name for _, name in PLACES}
            assert log_in_use() is None
            assert not around_fixtures(pytestconfig)

        def test_with_the_database(db, pytestconfig):
            assert log_in_use() is None
            assert not around_fixtures(pytestconfig)

        @pytest.mark.skip
        def test_skipped(): pass

        def test_a_log_is_there_for_what_happens():
            assert current_log() is log_in_use()
            assert current_log().test == "test_it.py::test_a_log_is_there_for_what_happens"

        def test_it_is_the_tests_own():
            assert log_in_use() is None
        """
    )
    result.assert_outcomes(passed=4, skipped=1)


def test_only_sharing_needs_the_hook_around_fixtures(project):
    project.write("conftest.py", CONFTEST)
    result = project.test(
        """
        from conftest import around_fixtures

        def test_it(db_async, pytestconfig):
            assert around_fixtures(pytestconfig)
        """
    )
    result.assert_outcomes(passed=1)


def test_libraries_are_as_they_were_after_a_test_that_breaks_in_any_phase(project):
    project.write("conftest.py", CONFTEST)
    result = project.test(
        """
        import pytest

        @pytest.fixture
        def breaks_before(): raise ValueError

        @pytest.fixture
        def breaks_after():
            yield
            raise ValueError

        def test_setup(breaks_before): pass
        def test_body(): raise ValueError
        def test_teardown(breaks_after): pass
        def test_next(): pass
        """
    )
    result.assert_outcomes(passed=2, failed=1, errors=2)


HOOKS = """
    import pytest

    NAMES = ("setup", "call", "teardown", "makereport", "logreport", "protocol", "logstart", "logfinish")

    def ours(config):
        found = {}
        for name in NAMES:
            for hook in getattr(config.hook, f"pytest_runtest_{name}").get_hookimpls():
                if hook.function.__module__.startswith("pytest_backchannel"):
                    found[name] = [*found.get(name, ()), "wrapper" if hook.wrapper else "plain"]
        return found
"""


def test_a_test_that_uses_nothing_pays_for_two_plain_hooks(project):
    # Of what such a test costs, pytest's calling of hooks is nearly all: some 4,000 instructions a plain one, 8,000 a
    # wrapper, of 15,000 in all. Whoever adds a hook here pays for it in every test of every suite.
    project.write("conftest.py", HOOKS)
    project.write("pytest.ini", "[pytest]\naddopts = -p no:django -p no:asyncio -p no:randomly -p no:valkey\n")
    result = project.test(
        """
        from conftest import ours

        def test_first(pytestconfig): assert ours(pytestconfig) == {"setup": ["plain"], "call": ["plain"]}
        def test_later(pytestconfig): assert ours(pytestconfig) == {"setup": ["plain"], "call": ["plain"]}
        """
    )
    result.assert_outcomes(passed=2)


def test_what_is_observed_adds_the_hooks_for_the_end_of_a_test_and_none_for_its_reports(project):
    project.write("conftest.py", HOOKS)
    result = project.test(
        """
        import celery, channels.layers, channels.testing
        from conftest import ours

        def test_it(pytestconfig):
            assert ours(pytestconfig) == {"setup": ["plain"], "call": ["plain"] * 2, "teardown": ["wrapper"]}
        """
    )
    result.assert_outcomes(passed=1)


def test_the_first_fixture_of_a_run_may_be_asked_for_in_the_body(project):
    result = project.test(
        """
        from pytest_backchannel.events import current_log

        def test_first():
            current_log().enforced = True
            current_log().problem("consumer_crashed", "it crashed")
        def test_next(): pass
        """
    )
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(["*consumer_crashed: it crashed*"])
