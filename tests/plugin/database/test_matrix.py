"""The matrix: every case on SQLite in memory, SQLite in a file and PostgreSQL, with a leak check after each."""

from __future__ import annotations

import pytest

CASES = 72


def cases_of(project):
    (project.path / "matrix_cases.py").rename(project.path / "test_matrix.py")
    (project.path / "anyio_cases.py").rename(project.path / "test_anyio.py")


def test_matrix(matrix):
    cases_of(matrix)
    matrix.run().assert_outcomes(passed=CASES)


def test_matrix_in_any_order(matrix):
    cases_of(matrix)
    result = matrix.run("-p", "randomly")
    result.stdout.fnmatch_lines(["Using --randomly-seed=*"])
    result.assert_outcomes(passed=CASES)


@pytest.mark.slow
@pytest.mark.parametrize("matrix", ["postgresql"], indirect=True)
def test_matrix_with_xdist(matrix):
    cases_of(matrix)
    matrix.run("-n", "2", "--dist", "loadscope").assert_outcomes(passed=CASES)


@pytest.mark.slow
def test_stress_fifty_times_in_a_row(matrix):
    (matrix.path / "stress_cases.py").rename(matrix.path / "test_stress.py")
    matrix.run("test_stress.py", timeout=300).assert_outcomes(passed=50)
