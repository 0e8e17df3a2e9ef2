"""``-p no:`` with the name of a module of fixtures switches off the fixtures, and what the hooks do for them."""

from __future__ import annotations

OFF = ("-p", "no:pytest_backchannel.fixtures.{}")


def off(*modules):
    return [part.format(module) for module in modules for part in OFF]


def test_the_database_is_not_lent(project):
    project.ini("asyncio_mode = auto")
    suite = """
        from pytest_backchannel.database import current_sharing

        async def test_it(db):
            assert current_sharing() is None
        """
    project.test(suite).assert_outcomes(failed=1)
    project.test(suite, *off("database")).assert_outcomes(passed=1)


def test_the_marker_of_the_queue_is_the_projects_own(project):
    suite = """
        import pytest

        @pytest.fixture
        def task_queue(): return None

        @pytest.mark.task_queue("positional", broker=["redis"])
        def test_it(task_queue): assert task_queue is None
        """
    result = project.test(suite)
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*task_queue takes keyword arguments alone*"])
    project.test(suite, *off("tasks", "servers")).assert_outcomes(passed=1)


def test_a_fixture_that_is_off_is_not_found(project):
    result = project.test("def test_it(redis_server): pass\n", *off("servers"))
    result.assert_outcomes(errors=1)
    result.stdout.fnmatch_lines(["*fixture 'redis_server' not found*"])
