"""Each bad option is a clear usage error."""

from __future__ import annotations

import pytest


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("backchannel_timeout = soon", "backchannel_timeout = 'soon': give a number of seconds above 0*"),
        ("backchannel_timeout = 0", "backchannel_timeout = '0': give a number of seconds above 0*"),
        ("backchannel_async_db = shard", "backchannel_async_db = 'shard': choose one of 'shared', 'off'"),
        ("backchannel_reuse = maybe", "backchannel_reuse = 'maybe': choose true or false"),
        ("backchannel_strict = maybe", "backchannel_strict = 'maybe': choose true or false"),
        ("backchannel_celery_app = a b", "backchannel_celery_app = 'a b': give 'package.module:attribute'*"),
    ],
)
def test_a_bad_value_names_itself_and_the_choices(pytester, line, message):
    pytester.makeini(f"[pytest]\nasyncio_default_fixture_loop_scope = function\n{line}\n")
    result = pytester.runpytest_subprocess()
    assert result.ret == 4
    result.stderr.fnmatch_lines([f"*{message}"])
