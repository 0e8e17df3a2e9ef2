"""The public names: each is there, and none is loaded before it is asked for."""

from __future__ import annotations

import subprocess
import sys
from importlib import import_module

import pytest

import pytest_backchannel


@pytest.mark.parametrize("name", sorted(pytest_backchannel._MODULES))
def test_a_public_name_is_what_its_module_has(name):
    module = import_module(pytest_backchannel._MODULES[name], "pytest_backchannel")
    assert getattr(pytest_backchannel, name) is getattr(module, name)
    assert name in dir(pytest_backchannel)
    assert getattr(module, name).__doc__


def test_any_other_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'pytest_backchannel' has no attribute 'Nonesuch'"):
        _ = pytest_backchannel.Nonesuch


def test_importing_the_package_loads_no_module_of_its_own():
    code = "import pytest_backchannel, sys; print(*[n for n in sys.modules if n.startswith('pytest_backchannel.')])"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.split() == []
