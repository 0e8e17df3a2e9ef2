"""All rules, in the order of their codes, and the families."""

from __future__ import annotations

from collections.abc import Iterator
from typing import ClassVar

from .checked_tree import CheckedTree
from .rule import Found, Rule, TreeRule
from .rules.delays import DelayBeyondVisibility
from .rules.enqueueing import ArgumentNotSerialisable, EnqueueInAtomic, LateBinding
from .rules.errbacks import ErrbackArguments
from .rules.for_consumers.access import NoAuthentication, NoOriginCheck
from .rules.for_consumers.client_json import JsonOnTrust
from .rules.for_consumers.coroutines import AsyncToSyncInCoroutine, BlockingCallInCoroutine, SyncOrmInCoroutine
from .rules.for_consumers.group_messages import InvalidGroupName, UnhandledType
from .rules.for_consumers.joining import AcceptBeforeJoin, CodeNobodySees, NeverLeaves
from .rules.for_settings.limits_said import LayerLimitsUnsaid, MailWithoutTimeout
from .rules.for_settings.named_tasks import BeatUnknownTask, RouteUnknownTask
from .rules.for_settings.production_settings import (
    EagerInProduction,
    IdleLayerTimeout,
    MemoryLayerInProduction,
    PickleAccepted,
)
from .rules.for_settings.queues_served import UnservedQueue
from .rules.for_tests.in_tests import AsyncTestNotRun, IntegrationUnmarked, SleepInTest, UnboundedGetInTest
from .rules.for_tests.left_untested import BodyNeverRun, OneJobForAll, RetryAssertedAsException, RouteNotConnected
from .rules.for_tests.parallel_runs import WorkersHearEachOther
from .rules.for_tests.settings_of_tests import EagerSwallows, EagerWithBroker, RedisLayerInTests
from .rules.for_tests.waits_and_data import DatabaseInAsyncTest, ReceiveForEver
from .rules.late_acks import LateAckLostWithChild, RejectWithoutLateAck
from .rules.of_inventory import INVENTORY_RULES
from .rules.retrying import BackoffBySleep, CodeAfterRetry, RetrySwallowed, RetryWithoutRaise
from .rules.task_bodies import GetInTask, IgnoredResultUsed, UnboundedGet
from .rules.task_limits import NoTimeLimit
from .rules.task_options import AsyncTask, AutoretryForEverything, RetriesForEver
from .rules.waiting_clients import ClientWithoutTimeout

FAMILIES = {
    "BC0": "The check itself",
    "BC1": "Tests and their settings",
    "BC2": "Enqueueing",
    "BC3": "Tasks",
    "BC4": "Workflows and errbacks",
    "BC5": "Consumers and channel layers",
    "BC6": "Settings of production",
    "BC7": "Production itself",
}


class Unreadable(TreeRule):
    """BC001: told by what reads the code."""

    code = "BC001"
    name = "unreadable"
    severity: ClassVar = "error"
    summary = "A file that may speak of tasks or consumers can't be read as Python."
    why = "Nothing is known of what it says, and another rule may be silent for that."
    fix = "Run the command with the Python version of the project, or correct the file."
    wrong = """
from celery import shared_task

def broken(:
"""
    right = """
from celery import shared_task
"""

    def check(self, tree: CheckedTree) -> Iterator[Found]:
        """Nothing: what could not be read has no place in the index."""
        yield from ()


UNREADABLE = Unreadable()

RULES: tuple[Rule, ...] = tuple(
    sorted(
        (
            UNREADABLE,
            *INVENTORY_RULES,
            EagerSwallows(),
            EagerWithBroker(),
            UnboundedGetInTest(),
            RedisLayerInTests(),
            SleepInTest(),
            AsyncTestNotRun(),
            IntegrationUnmarked(),
            EnqueueInAtomic(),
            ArgumentNotSerialisable(),
            LateBinding(),
            AsyncTask(),
            GetInTask(),
            UnboundedGet(),
            RetrySwallowed(),
            CodeAfterRetry(),
            RetriesForEver(),
            IgnoredResultUsed(),
            AutoretryForEverything(),
            ClientWithoutTimeout(),
            ErrbackArguments(),
            AcceptBeforeJoin(),
            NeverLeaves(),
            SyncOrmInCoroutine(),
            BlockingCallInCoroutine(),
            CodeNobodySees(),
            UnhandledType(),
            InvalidGroupName(),
            AsyncToSyncInCoroutine(),
            BeatUnknownTask(),
            RouteUnknownTask(),
            MemoryLayerInProduction(),
            EagerInProduction(),
            PickleAccepted(),
            IdleLayerTimeout(),
            ReceiveForEver(),
            DatabaseInAsyncTest(),
            WorkersHearEachOther(),
            RetryAssertedAsException(),
            RouteNotConnected(),
            BodyNeverRun(),
            OneJobForAll(),
            DelayBeyondVisibility(),
            BackoffBySleep(),
            LateAckLostWithChild(),
            RejectWithoutLateAck(),
            RetryWithoutRaise(),
            NoTimeLimit(),
            NoAuthentication(),
            NoOriginCheck(),
            JsonOnTrust(),
            UnservedQueue(),
            MailWithoutTimeout(),
            LayerLimitsUnsaid(),
        ),
        key=lambda rule: rule.code,
    )
)
