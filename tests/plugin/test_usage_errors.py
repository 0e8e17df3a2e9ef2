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
    ],
    ids=["layer", "application"],
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


@pytest.mark.parametrize(
    ("fixture", "message"), [("task_queue", "has no SECRET"), ("websocket", "has no SECRET")], ids=["queue", "socket"]
)
def test_production_settings_that_break_are_told_where_they_are_read(project, fixture, message):
    project.write("config/production.py", "raise ValueError('has no SECRET')\n")
    project.ini("backchannel_production_settings = config.production")
    result = project.test(ASKS.format(fixture=fixture, call="pass"))
    result.assert_outcomes(errors=1)
    report = result.stdout.str()
    assert "backchannel_production_settings = 'config.production' can't be read" in report
    assert message in report
    assert "/pytest_backchannel/" not in report


def test_an_application_that_can_not_be_imported_shows_where(project):
    project.write("config/asgi.py", "import no_such_module\n")
    result = project.test(ASKS.format(fixture="websocket", call="websocket('/ws/')"))
    result.assert_outcomes(failed=1)
    result.stdout.fnmatch_lines(["*No module named 'no_such_module'*", "*Set ASGI_APPLICATION = *"])
