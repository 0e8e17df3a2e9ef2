"""Every exception and warning that a user may meet is defined in one place, and says when it is met."""

from __future__ import annotations

import pickle
import pkgutil
import subprocess
import sys
from importlib import import_module

import celery.exceptions
import pytest

import pytest_backchannel
from pytest_backchannel import errors

# Raised and caught within the plugin: nobody meets them in a test.
INTERNAL = {
    "pytest_backchannel.inventory.child.refusals.Refused",
    "pytest_backchannel.questions.audit.effects.table_rows.TooManyRows",
    "pytest_backchannel.questions.audit.shadows.forking.NotAudited",
    "pytest_backchannel.tasks.driver.Unable",
    "pytest_backchannel.commands.smoke.limits.TooSlow",
    "pytest_backchannel.setting_up.trying.probe.patience_of_trials.TookTooLong",
    "pytest_backchannel.setting_up.trying.sandbox.RefusedInTrial",
    "pytest_backchannel.tasks.stepped.kept.settings_print.Unknown",
    "pytest_backchannel.tasks.stepped.pool.execution._NeverAwaited",
    "pytest_backchannel.tasks.stepped.pool.faults.ChildDied",
    "pytest_backchannel.tasks.stepped.pool.faults.OverTime",
    "pytest_backchannel.tasks.stepped.pool.faults.WorkerDied",
    "pytest_backchannel.tasks.stepped.pool.faults.WorkerEnded",
}


def defined_in(module):
    """The exceptions and warnings whose class statement stands in the module."""
    return [
        value
        for value in vars(module).values()
        if isinstance(value, type) and issubclass(value, BaseException) and value.__module__ == module.__name__
    ]


def modules():
    packages = pkgutil.walk_packages(pytest_backchannel.__path__, "pytest_backchannel.")
    return [import_module(found.name) for found in packages if "._example" not in found.name]


def test_no_exception_is_defined_anywhere_else():
    found = [error for module in modules() if module is not errors for error in defined_in(module)]
    assert {f"{error.__module__}.{error.__name__}" for error in found} == INTERNAL


def test_the_list_has_every_one_of_them_in_order():
    assert errors.__all__ == sorted({found.__name__ for found in defined_in(errors)})


@pytest.mark.parametrize("name", errors.__all__)
def test_each_is_an_exception_and_says_when_it_is_met(name):
    found = getattr(errors, name)
    assert issubclass(found, Exception)
    assert found.__doc__


@pytest.mark.parametrize("name", errors.__all__)
def test_each_is_caught_by_a_base(name):
    found = getattr(errors, name)
    # These two stand for what a server or a serialiser would have raised, in the code under test.
    bases = (errors.BackchannelError, errors.BackchannelFailure, errors.BackchannelWarning)
    assert issubclass(found, bases) or name in {"ClientDisconnected", "NotSerialisable"}


def test_a_result_that_never_comes_is_a_timeout_of_celerys():
    assert issubclass(errors.ResultUnavailable, celery.exceptions.TimeoutError)
    assert issubclass(errors.ResultUnavailable, errors.BackchannelFailure)


def test_it_is_the_same_class_each_time_and_can_be_pickled():
    assert errors.ResultUnavailable is errors.ResultUnavailable
    copied = pickle.loads(pickle.dumps(errors.ResultUnavailable("in vain")))
    assert type(copied) is errors.ResultUnavailable
    assert str(copied) == "in vain"


def run(code):
    return subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()


def test_celery_is_imported_only_for_the_class_that_needs_it():
    code = """
import sys
from pytest_backchannel import errors
print("celery" in sys.modules, [getattr(errors, n) for n in errors.__all__ if n != "ResultUnavailable"] and None)
print("celery" in sys.modules)
errors.ResultUnavailable
print("celery" in sys.modules)
"""
    assert run(code) == ["False", "None", "False", "True"]


def test_without_celery_it_can_still_be_named():
    code = """
import sys
sys.modules["celery"] = None
from pytest_backchannel.errors import BackchannelFailure, ResultUnavailable
from pytest_backchannel.errors import *
print(ResultUnavailable.__name__, issubclass(ResultUnavailable, BackchannelFailure))
"""
    assert run(code) == ["ResultUnavailable", "True"]


def test_any_other_name_is_an_attribute_error():
    with pytest.raises(AttributeError, match=r"module 'pytest_backchannel\.errors' has no attribute 'Nonesuch'"):
        _ = errors.Nonesuch
