"""Rules on production: when they are run, when not, and what is said then."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from pytest_backchannel.checks.diagnostic import Diagnostic
from pytest_backchannel.checks.of_production import check_production, needs_production
from pytest_backchannel.checks.rule_table import RULES
from pytest_backchannel.cli import main
from pytest_backchannel.inventory.findings.finding import FINDINGS

ROOT = Path(__file__).parents[3]
NAMED = {"backchannel_production_settings": "site_settings"}
SETTINGS = 'SECRET_KEY = "x"\nINSTALLED_APPS = []\nCHANNEL_LAYERS = {"default": dict(BACKEND=LAYER)}\n'
MEMORY = 'LAYER = "channels.layers.InMemoryChannelLayer"\n'


@pytest.fixture
def site(tmp_path):
    (tmp_path / "site_settings.py").write_text(MEMORY + SETTINGS)
    return tmp_path


def test_each_finding_but_one_belongs_to_a_rule():
    # Calls without a time-out are seen in the code, of which a fresh process imports only some.
    assert {rule.finding for rule in RULES if rule.finding} == set(FINDINGS) - {"http_timeout"}


def test_what_is_found_stands_at_the_settings_module(site):
    result = check_production(site, NAMED)
    assert [(one.code, one.path) for one in result.diagnostics] == [("BC603", "site_settings.py")]
    assert "InMemoryChannelLayer" in result.diagnostics[0].message
    assert "Fix:" not in result.diagnostics[0].message


def test_what_the_code_has_shown_is_not_said_again(site):
    known = Diagnostic(path="site_settings.py", line=4, column=1, end_line=4, code="BC603", message="shown")
    assert check_production(site, NAMED, known=[known]).diagnostics == ()


def test_what_is_intended_is_let_be(site):
    allowed = NAMED | {"backchannel_settings_allow": "memory_layer: one process"}
    assert check_production(site, allowed).diagnostics == ()


def test_without_a_name_nothing_is_run():
    assert "backchannel_production_settings" in check_production(Path(), {}).skipped


def test_settings_that_can_t_be_imported_are_a_reason(site):
    (site / "site_settings.py").write_text("import no_such_module\n")
    result = check_production(site, NAMED)
    assert result.diagnostics == ()
    assert "no_such_module" in result.skipped


def test_the_command_says_what_was_not_run_and_why(site, monkeypatch, capsys):
    monkeypatch.chdir(site)
    assert main(["check", "--production-settings", "nowhere", "--format", "json"]) == 0
    printed = capsys.readouterr()
    assert "nowhere" in json.loads(printed.out)["skipped"]
    assert printed.err.startswith("not run: rules that need production's settings (")


@pytest.mark.parametrize("arguments", [["--static"], ["--select", "BC201,BC301"], ["--ignore", "BC2,BC3,BC6,BC7"]])
def test_it_is_not_run_where_nothing_asks_for_it(site, monkeypatch, capsys, arguments):
    monkeypatch.chdir(site)
    monkeypatch.setattr("pytest_backchannel.commands.check.check_production", None)
    assert main(["check", *arguments]) == 0
    assert capsys.readouterr().err == ""


def test_rules_that_need_production_say_so():
    page = (ROOT / "docs" / "reference" / "checks.md").read_text(encoding="utf-8")
    needing = [rule for rule in RULES if needs_production(rule)]
    assert page.count("(`backchannel_production_settings`).") == len(needing)


def test_the_hook_calls_a_command_that_there_is(tmp_path, monkeypatch):
    hook = (ROOT / ".pre-commit-hooks.yaml").read_text(encoding="utf-8")
    entry = next(line.partition("entry: ")[2] for line in hook.splitlines() if "entry: " in line)
    monkeypatch.chdir(tmp_path)
    command, *arguments = entry.split()
    assert command == "backchannel"
    assert main(arguments) == 0


def test_production_is_asked_once_from_the_folder_of_the_configuration(site, monkeypatch, capsys):
    (site / "pytest.ini").write_text("[pytest]\nbackchannel_production_settings = site_settings\n")
    for name in ("shop", "chat"):
        (site / name).mkdir()
    monkeypatch.chdir(site / "shop")
    assert main(["check", "../chat", "."]) == 1
    lines = capsys.readouterr().out.splitlines()
    assert [line.split(" ")[1] for line in lines if "site_settings.py:1:1" in line] == ["BC603"]


def test_two_findings_of_one_rule_are_both_told(site, monkeypatch, capsys):
    layers = 'CHANNEL_LAYERS = {name: dict(BACKEND=LAYER) for name in ("default", "other")}\n'
    (site / "site_settings.py").write_text(MEMORY + SETTINGS + layers)
    monkeypatch.chdir(site)
    assert main(["check", "--production-settings", "site_settings", "--statistics"]) == 1
    assert capsys.readouterr().out.split()[:2] == ["2", "BC603"]
