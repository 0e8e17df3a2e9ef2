"""What a project forgot to say is told in one sentence, and not below a page of the plugin's own source."""

from __future__ import annotations

import pytest

ASKS = """
    def test_it({fixture}):
        {call}
"""


@pytest.mark.parametrize(
    ("fixture", "call", "settings", "ini", "message"),
    [
        ("channel_layer", "pass", "CHANNEL_LAYERS = {}", "", "channel_layer needs a layer called 'default'"),
        (
            "websocket",
            "websocket('/ws/')",
            "del ASGI_APPLICATION",
            "",
            "Set ASGI_APPLICATION = 'package",
        ),
        (
            "task_queue",
            "pass",
            "",
            "backchannel_celery_app = config.celery:none",
            "none' can't be imported",
        ),
        ("task_queue", "pass", "", "backchannel_production_settings = config.gone", "= 'config.gone' can't be read"),
        ("websocket", "pass", "", "backchannel_production_settings = config.gone", "= 'config.gone' can't be read"),
    ],
    ids=["layer", "application", "app", "production-task_queue", "production-websocket"],
)
def test_the_report_is_short(project, fixture, call, settings, ini, message):
    project.settings(settings)
    project.ini(ini)
    result = project.test(ASKS.format(fixture=fixture, call=call))
    result.assert_outcomes(**({"failed": 1} if call != "pass" else {"errors": 1}))
    report = result.stdout.str()
    assert message in report
    # Neither its files nor the same sentence of an exception that caused this one.
    assert "/pytest_backchannel/" not in report
    assert "During handling" not in report
    assert "direct cause" not in report


def test_an_application_that_can_not_be_imported_shows_where(project):
    project.write("config/asgi.py", "import no_such_module\n")
    result = project.test(ASKS.format(fixture="websocket", call="websocket('/ws/')"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*No module named 'no_such_module'*", "*Set ASGI_APPLICATION = *"])
