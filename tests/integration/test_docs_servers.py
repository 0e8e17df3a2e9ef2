"""The snippets of the documentation that need a real broker and a real worker."""

from __future__ import annotations

import pytest
from support.snippets import copy_example, of, write_all

pytestmark = pytest.mark.celery_integration


def test_the_snippets_run_in_the_example_project(pytester):
    folder = copy_example(pytester.path)
    names = write_all(folder, of("test", "example"))
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        result = pytester.runpytest_subprocess("-m", "celery_integration", *names, timeout=240)
    outcomes = result.parseoutcomes()
    assert result.ret == 0, result.stdout.str()
    assert outcomes["passed"] >= 5
