"""Which settings are production's, the tests', and the base of both."""

from __future__ import annotations

import pytest

from pytest_backchannel.errors import BackchannelError
from pytest_backchannel.setting_up.settings_modules import settings_modules


def site(folder, *modules, **entry_points):
    for module in modules:
        path = folder.joinpath(*module.split(".")).with_suffix(".py")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
    for name, settings in entry_points.items():
        path = folder / ("manage.py" if name == "manage" else f"config/{name}.py")
        path.parent.mkdir(exist_ok=True)
        path.write_text(f'os.environ.setdefault("DJANGO_SETTINGS_MODULE", "{settings}")\n')
    return folder


def found(folder, given=None, used=None):
    modules = settings_modules(folder, given, used)
    return modules.production, modules.origins, modules.tests


def test_one_module(tmp_path):
    site(tmp_path, "config.settings", manage="config.settings")
    assert found(tmp_path) == ("config.settings", ("config.settings",), "config.settings_test")
    assert settings_modules(tmp_path, None, None).tests_file == tmp_path / "config/settings_test.py"


def test_one_module_without_a_package(tmp_path):
    site(tmp_path, "settings", manage="settings")
    assert found(tmp_path) == ("settings", ("settings",), "settings_test")


def test_a_sibling_that_is_for_tests(tmp_path):
    site(tmp_path, "config.settings", "config.test_settings", manage="config.settings")
    assert found(tmp_path)[2] == "config.test_settings"


def test_a_package(tmp_path):
    names = [f"config.settings.{name}" for name in ("__init__", "base", "local", "production")]
    site(tmp_path, *names, manage="config.settings.local")
    assert found(tmp_path) == (
        "config.settings.production",
        ("config.settings.base", "config.settings.production"),
        "config.settings.test",
    )


def test_a_package_whose_production_has_another_name(tmp_path):
    names = [f"config.settings.{name}" for name in ("__init__", "common", "dev", "heroku")]
    site(tmp_path, *names, manage="config.settings.dev", wsgi="config.settings.heroku")
    assert found(tmp_path)[0] == "config.settings.heroku"


def test_a_package_that_is_the_module(tmp_path):
    site(tmp_path, "config.settings.__init__", manage="config.settings")
    assert found(tmp_path) == ("config.settings", ("config.settings",), "config.settings.test")


def test_what_the_user_says_counts(tmp_path):
    site(tmp_path, "config.settings", "other.settings", manage="config.settings")
    assert found(tmp_path, given="other.settings")[0] == "other.settings"


def test_what_pytest_uses_is_the_tests(tmp_path):
    site(tmp_path, "config.settings", "config.ours", manage="config.settings")
    assert found(tmp_path, used="config.ours")[2] == "config.ours"
    assert found(tmp_path, used="config.settings")[2] == "config.settings_test"


def test_other_ways_to_name_it(tmp_path):
    site(tmp_path, "config.settings")
    (tmp_path / "manage.py").write_text("os.environ['DJANGO_SETTINGS_MODULE'] = 'config.settings'\n")
    assert found(tmp_path)[0] == "config.settings"


def test_none_is_told(tmp_path):
    site(tmp_path)
    (tmp_path / "manage.py").write_text("print()\n")
    with pytest.raises(BackchannelError, match="found no settings module: .* --settings config.settings.production"):
        found(tmp_path)


def test_a_module_that_is_not_there_is_told(tmp_path):
    site(tmp_path, "config.settings", manage="config.settings")
    with pytest.raises(BackchannelError, match=r"--settings 'config.prod': there is no config/prod.py in "):
        found(tmp_path, given="config.prod")
