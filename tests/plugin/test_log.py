"""What a test sees of the event log: the verdict at its end, and the story when it fails."""

from __future__ import annotations

CONFTEST = """
    from pytest_backchannel import errors

    errors.declare_slug("tst_fatal", "For this test.")
    errors.declare_slug("tst_mild", "For this test.", fatal=False)
"""
BODY = """
    import pytest
    from pytest_backchannel.events import Event, caller, caused_by, current_log

    def lose(slug, enforced):
        log = current_log()
        log.enforced = enforced
        with caused_by(log.record(Event, where=caller())):
            log.problem(slug, "went wrong", where=caller())

"""


def run(project, body, *args):
    project.write("conftest.py", CONFTEST)
    project.write("test_it.py", BODY + body)
    return project.run("test_it.py", *args)


def test_a_fatal_problem_fails_the_test_and_names_its_line_and_slug(project):
    result = run(project, "    def test_it():\n        lose('tst_fatal', True)\n")
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(
        [
            "tst_fatal: went wrong*test_it.py:9*",
            'Intended? Say so with @pytest.mark.allow_lost("tst_fatal").',
            "*Behind the request*",
            "*Event*test_it.py:8*",
            "*└─ ✗ tst_fatal: went wrong*",
        ]
    )


def test_allow_lost_lets_it_pass(project):
    run(
        project,
        "    @pytest.mark.allow_lost('tst_fatal')\n    def test_it():\n        lose('tst_fatal', True)\n",
    ).assert_outcomes(passed=1)


def test_an_unknown_slug_fails_its_own_test_and_lists_the_known_ones(project):
    tests = (
        "    @pytest.mark.allow_lost('nope')\n    def test_it():\n        pass\n\n    def test_other():\n        pass\n"
    )
    result = run(project, tests)
    result.assert_outcomes(errors=1, passed=1)
    result.stdout.fnmatch_lines(["*allow_lost takes one or more slugs, and 'nope' is none; choose from *tst_fatal*"])


def test_a_mild_problem_is_a_warning_at_its_own_line(project):
    result = run(project, "    def test_it():\n        lose('tst_mild', True)\n", "-W", "default")
    result.assert_outcomes(passed=1, warnings=1)
    result.stdout.fnmatch_lines(["*test_it.py:9: BackchannelWarning: went wrong"])


def test_where_nothing_is_enforced_it_is_summed_up(project):
    body = "    def test_it():\n        lose('tst_fatal', False)\n"
    result = run(project, body)
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*unseen behind the request*", "tst_fatal: went wrong*test_it.py:9*"])
    result = run(project, body, "-n2")
    result.assert_outcomes(passed=1)
    result.stdout.fnmatch_lines(["*unseen behind the request*", "tst_fatal: went wrong*test_it.py:9*"])


def test_strict_fails_where_nothing_is_used(project):
    project.ini("backchannel_strict = true")
    project.write("conftest.py", CONFTEST)
    result = project.test(BODY + "    def test_it():\n        current_log().problem('tst_fatal', 'went wrong')\n")
    result.assert_outcomes(failed=1)


def test_a_test_that_does_nothing_tells_no_story(project):
    result = project.test("def test_it():\n    assert 0\n")
    result.assert_outcomes(failed=1)
    result.stdout.no_fnmatch_line("*Behind the request*")


def test_a_test_that_failed_by_itself_fails_no_second_time_for_what_it_left_behind(project):
    body = """
    @pytest.fixture
    def leaving():
        yield
        lose("tst_fatal", True)

    def test_it(leaving):
        lose("tst_fatal", True)
        assert 0
"""
    result = run(project, body)
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["E *assert 0", "*Behind the request*", "*tst_fatal: went wrong*"])
