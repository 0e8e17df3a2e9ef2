"""What happens to tasks, told once: each scenario is played on the stepped worker, and on real brokers and workers.

A scenario drives a :class:`Driver`, which each of the suites implements, and says how everything must end: the state
of each task, how often each body has run, and the side effects in their order where it matters.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import billiard
from support.versions import CELERY

BOTH = ("redis", "rabbitmq")
# Whether a worker tells what has ended a child in another way than by an Exception. Celery before 5.7 does not with
# billiard 4.3, so that nobody knows on a real worker when such a scenario is over: there it is only stepped.
TOLD = CELERY >= (5, 7) or billiard.VERSION < (4, 3)


class Driver(Protocol):
    """What a suite lets a scenario do."""

    def send(self, label: str, task: str, *args: Any, **options: Any) -> None:
        """Enqueue ``differential.<task>`` by its ``apply_async``; by ``send_task`` where the app has no such task."""

    def start(self, label: str, workflow: str) -> None:
        """Enqueue one of the app's WORKFLOWS; the result of its last part is known by the label."""

    def arm(self, kind: str, when: str, task: str) -> None:
        """Let ``kill_worker``, ``lose_child`` or ``time_limit`` happen to the next run of a task."""

    def revoke(self, label: str) -> None:
        """Revoke a task by remote control, and wait until the workers have heard of it."""

    def settle(self) -> None:
        """Let everything that is due now be done."""

    def wait(self, seconds: float) -> None:
        """Let time pass, and everything be done that is due on the way."""


@dataclass(frozen=True)
class Scenario:
    """One scenario.

    Args:
        name: its name.
        drive: what is done.
        states: the state in which each task ends, by its label.
        runs: how often each body has run, by the task's name; tasks that are not named have not run.
        results: what some of the tasks returned, by their labels.
        effects: all side effects in their order, where the order is certain.
        profiles: the brokers on which it ends so.
        conf: settings of the app, for the producer and the workers.
        broker_options: of ``broker_transport_options``.
        queues: what the worker consumes; all declared queues by default.
        warm: whether the worker has to be there before anything is sent.
        told: whether a real worker tells how it ends.
        reason: why it ends so, or why it differs between brokers.
    """

    name: str
    drive: Callable[[Driver], None]
    states: Mapping[str, str]
    runs: Mapping[str, int]
    results: Mapping[str, Any] = field(default_factory=dict)
    effects: Sequence[Sequence[Any]] | None = None
    profiles: Sequence[str] = BOTH
    conf: Mapping[str, Any] = field(default_factory=dict)
    broker_options: Mapping[str, Any] = field(default_factory=dict)
    queues: Sequence[str] = ()
    warm: bool = False
    told: bool = True
    reason: str = ""


def one(task: str, *args: Any, **options: Any) -> Callable[[Driver], None]:
    """Enqueue one task, and let it be done."""

    def drive(driver: Driver) -> None:
        driver.send("it", task, *args, **options)
        driver.settle()

    return drive


def broken(kind: str, when: str, task: str, wait: float = 0) -> Callable[[Driver], None]:
    """Enqueue one task, with something going wrong in its first run."""

    def drive(driver: Driver) -> None:
        driver.arm(kind, when, task)
        driver.send("it", task)
        driver.settle()
        if wait:
            driver.wait(wait)

    return drive


def workflow(name: str, wait: float = 0) -> Callable[[Driver], None]:
    """Enqueue one workflow, and let it be done."""

    def drive(driver: Driver) -> None:
        driver.start("it", name)
        driver.settle()
        if wait:
            driver.wait(wait)

    return drive


def delayed(seconds: float, task: str = "early", **options: Any) -> Callable[[Driver], None]:
    """Enqueue one task with options, and let time pass."""

    def drive(driver: Driver) -> None:
        driver.send("it", task, **options)
        driver.wait(seconds)

    return drive


def _expires_unseen(driver: Driver) -> None:
    driver.send("it", "early", countdown=3, expires=1)
    driver.wait(5)


def _revoke_waiting(driver: Driver) -> None:
    driver.send("it", "early", countdown=6)
    driver.settle()
    driver.revoke("it")
    driver.wait(7)


def _priorities(driver: Driver) -> None:
    for number, priority in enumerate((1, 9, 5)):
        driver.send(str(number), "ranked", number, priority=priority)
    driver.settle()


def _rate(driver: Driver) -> None:
    for number in range(3):
        driver.send(str(number), "rated", number)
    driver.wait(4)


def _two_crashes(driver: Driver) -> None:
    driver.arm("kill_worker", "after_body", "late")
    driver.send("crashed", "late", 1)
    driver.settle()
    driver.send("fine", "early", 2)
    driver.settle()


def _topic(driver: Driver) -> None:
    driver.send("it", "early", exchange="differential_topic", routing_key="a.c")
    driver.settle()


def _prefetched(driver: Driver) -> None:
    driver.send("0", "spawns", 0, priority=5)
    for number in (1, 2):
        driver.send(str(number), "ranked", number, priority=5)
    driver.settle()


def _revoke_and_kill(driver: Driver) -> None:
    driver.send("it", "late", countdown=9)
    driver.settle()
    driver.revoke("it")
    driver.arm("kill_worker", "before_body", "early")
    driver.send("killer", "early")
    driver.settle()
    driver.wait(10)


AMQP = ["application_headers", "content_encoding", "content_type", "correlation_id", "delivery_mode", "reply_to"]
VIRTUAL = [
    "body_encoding", "correlation_id", "delivery_info", "delivery_mode", "delivery_tag", "priority", "reply_to",
]  # fmt: skip
QUICK_REDIS = {"visibility_timeout": 2, "unacked_restore_interval": 1, "unacked_restore_throttle": 1}
SWEPT = 5.0

SCENARIOS = [
    # ------------------------------------------------------- acknowledgement and crashes
    Scenario("early ack", one("early", 1), {"it": "SUCCESS"}, {"early": 1}, {"it": 1}),
    Scenario("late ack", one("late", 1), {"it": "SUCCESS"}, {"late": 1}, {"it": 1}),
    Scenario(
        "early ack, worker killed before the body", broken("kill_worker", "before_body", "early", SWEPT),
        {"it": "PENDING"}, {}, broker_options=QUICK_REDIS, reason="the message was acknowledged: the task is lost",
    ),
    Scenario(
        "early ack, worker killed after the body", broken("kill_worker", "after_body", "early", SWEPT),
        {"it": "PENDING"}, {"early": 1}, broker_options=QUICK_REDIS,
        reason="killed inside the body, before the result is stored",
    ),
    Scenario(
        "late ack, worker killed before the body", broken("kill_worker", "before_body", "late", SWEPT),
        {"it": "SUCCESS"}, {"late": 1}, broker_options=QUICK_REDIS,
    ),
    Scenario(
        "late ack, worker killed after the body", broken("kill_worker", "after_body", "late", SWEPT),
        {"it": "SUCCESS"}, {"late": 2}, broker_options=QUICK_REDIS, reason="delivered again: the body runs twice",
    ),
    Scenario(
        "late ack, worker killed, before the visibility timeout", broken("kill_worker", "after_body", "late"),
        {"it": "PENDING"}, {"late": 1}, profiles=("redis",),
        reason="only a sweep after the visibility timeout brings it back",
    ),
    Scenario(
        "a crash does not hold up the next task", _two_crashes, {"crashed": "SUCCESS", "fine": "SUCCESS"},
        {"late": 2, "early": 1}, profiles=("rabbitmq",),
    ),
    Scenario(
        "early ack, child lost", broken("lose_child", "before_body", "early"), {"it": "FAILURE"}, {},
        reason="WorkerLostError; not tried again",
    ),
    Scenario("late ack, child lost", broken("lose_child", "before_body", "late"), {"it": "FAILURE"}, {}),
    Scenario(
        "late ack, reject_on_worker_lost, child lost", broken("lose_child", "after_body", "late_again"),
        {"it": "SUCCESS"}, {"late_again": 2},
    ),
    Scenario(
        "sys.exit in the body", one("exits"), {"it": "FAILURE" if TOLD else "PENDING"}, {"exits": 1},
        told=TOLD, reason="celery before 5.7 with billiard 4.3 does not hear of it",
    ),
    # ------------------------------------------------------------------- time limits
    Scenario("hard time limit", broken("time_limit", "before_body", "limited"), {"it": "FAILURE"}, {}),
    Scenario("hard time limit, late ack", broken("time_limit", "before_body", "limited_late"), {"it": "FAILURE"}, {}),
    Scenario(
        "soft time limit, handled", one("slow"), {"it": "SUCCESS"}, {"slow": 1, "cleaned up": 1}, {"it": "cut short"},
    ),
    Scenario("soft time limit, unhandled", one("slow_and_deaf"), {"it": "FAILURE"}, {"slow_and_deaf": 1}),
    # ------------------------------------------------------------- reject, ignore, retry
    Scenario(
        "reject", one("reject"), {"it": "FAILURE" if CELERY >= (5, 7) else "PENDING"}, {"reject": 1},
        reason="celery 5.7 stores a failure; before, the state stays PENDING",
    ),
    Scenario(
        "reject, late ack", one("reject_late"), {"it": "FAILURE" if CELERY >= (5, 7) else "PENDING"},
        {"reject_late": 1},
    ),
    Scenario(
        "reject to requeue, early ack", one("requeue_early"), {"it": "PENDING"}, {"requeue_early": 1},
        reason="it was acknowledged before: there is nothing to requeue",
    ),
    Scenario("reject to requeue, late ack", one("requeue_once"), {"it": "SUCCESS"}, {"requeue_once": 2}),
    Scenario("ignore", one("ignore"), {"it": "PENDING"}, {"ignore": 1}),
    Scenario(
        "retry with a countdown", delayed(4, "twice_then_fine"), {"it": "SUCCESS"}, {"twice_then_fine": 3},
        {"it": "fine"}, effects=[["twice_then_fine", n] for n in range(3)],
    ),
    Scenario("retry until it is enough", one("hopeless"), {"it": "FAILURE"}, {"hopeless": 3}),
    Scenario("autoretry with backoff", delayed(5, "auto"), {"it": "FAILURE"}, {"auto": 3}),
    Scenario(
        "a swallowed retry", one("swallows"), {"it": "SUCCESS"}, {"swallows": 2},
        reason="the task has ended, and runs again as well",
    ),
    # ------------------------------------------------------- eta, expiry, revoke, rate limit
    Scenario("countdown", delayed(3, countdown=1), {"it": "SUCCESS"}, {"early": 1}),
    Scenario("countdown, not yet", delayed(1, countdown=30), {"it": "PENDING"}, {}),
    Scenario("expired before its eta", _expires_unseen, {"it": "REVOKED"}, {}, warm=True),
    Scenario(
        "expired already, the worker idle", one("early", expires=0), {"it": "REVOKED"}, {}, warm=True,
        reason="a queue delivers what may not wait, where a worker can have it at once",
    ),
    Scenario("expires later", one("early", expires=60), {"it": "SUCCESS"}, {"early": 1}),
    Scenario(
        "eta beyond the visibility timeout", delayed(8, countdown=5), {"it": "SUCCESS"}, {"early": 3},
        profiles=("redis",), broker_options=QUICK_REDIS, warm=True,
        reason="Redis hands the message out anew each time the visibility timeout is over",
    ),
    Scenario(
        "eta beyond the visibility timeout, RabbitMQ", delayed(8, countdown=5), {"it": "SUCCESS"}, {"early": 1},
        profiles=("rabbitmq",), broker_options=QUICK_REDIS,
    ),
    Scenario("revoked while it waits for its eta", _revoke_waiting, {"it": "REVOKED"}, {}, warm=True),
    Scenario(
        "rate limit", _rate, {"0": "SUCCESS", "1": "SUCCESS", "2": "SUCCESS"}, {"rated": 3},
        effects=[["rated", n] for n in range(3)],
    ),
    # ---------------------------------------------------------------- routing, priorities
    Scenario(
        "priorities, RabbitMQ", _priorities, {str(n): "SUCCESS" for n in range(3)}, {"ranked": 3},
        effects=[["ranked", 1], ["ranked", 2], ["ranked", 0]], profiles=("rabbitmq",),
        reason="the highest number first; what is published before the worker starts",
    ),
    Scenario(
        "priorities, Redis", _priorities, {str(n): "SUCCESS" for n in range(3)}, {"ranked": 3},
        effects=[["ranked", 0], ["ranked", 2], ["ranked", 1]], profiles=("redis",),
        reason="the lowest number first, in steps of 0, 3, 6, 9",
    ),
    Scenario("routed to another queue", one("routed"), {"it": "SUCCESS"}, {"routed": 1}),
    Scenario(
        "routed to a queue that no worker consumes", one("routed"), {"it": "PENDING"}, {}, queues=("differential",)
    ),
    # -------------------------------------------------------------- what can't be understood
    Scenario("unknown task", one("nobody_knows"), {"it": "FAILURE"}, {}, reason="NotRegistered"),
    Scenario(
        "disallowed content", one("early", serializer="pickle"), {"it": "PENDING"}, {},
        reason="the worker throws the message away, and nobody hears of it",
    ),
    Scenario("wrong arguments", one("loose", 1, 2), {"it": "FAILURE"}, {}),
    Scenario("a set as the result", one("a_set"), {"it": "FAILURE"}, {"a_set": 1}, reason="EncodeError"),
    Scenario("a result that can't be stored", one("a_thing"), {"it": "FAILURE"}, {"a_thing": 1}),
    Scenario("a result that is not stored", one("unstored"), {"it": "PENDING"}, {"unstored": 1}),
    Scenario(
        "waiting for a result inside a task", one("waits_inside"), {"it": "FAILURE"}, {"waits_inside": 1, "add": 1},
        reason="RuntimeError: never call result.get() within a task",
    ),
    # ------------------------------------------------------- the pool and its processes
    Scenario(
        "hard time limit, its errback and handlers", workflow("limited_with_errback"), {"it": "FAILURE"},
        {
            "before_start": 1, "limited_hooked": 1, "errback": 2, "unwound": 1,
            **({"on_failure": 1, "after_return": 1} if CELERY >= (5, 7) else {}),
        },
        reason="the pool tells of a lost job and of a time limit, and each marks the failure; the handlers since 5.7",
    ),
    Scenario(
        "soft time limit, its text", one("slow_hooked"), {"it": "FAILURE"},
        {"before_start": 1, "slow_hooked": 1, "on_failure": 1, "after_return": 1},
        effects=[
            ["before_start"], ["slow_hooked"], ["on_failure", "SoftTimeLimitExceeded", "()"],
            ["after_return", "FAILURE"],
        ],
    ),
    Scenario(
        "killed before the body, its start tracked", broken("kill_worker", "before_body", "tracked"),
        {"it": "STARTED"}, {"before_start": 1},
    ),
    Scenario(
        "child lost after the body, its start tracked", broken("lose_child", "after_body", "tracked"),
        {"it": "FAILURE"}, {"before_start": 1, "tracked": 1},
    ),
    Scenario(
        "an error that is no Exception", one("odd"), {"it": "FAILURE" if TOLD else "PENDING"}, {"odd": 1},
        told=TOLD,
    ),
    Scenario(
        "on_failure fails", workflow("fails_badly"), {"it": "FAILURE"},
        {"fails_badly": 1, "on_failure": 2, "errback": 3},
        reason="the tracer tries twice, and then the worker's own process marks the failure",
    ),
    Scenario(
        "on_success fails", one("succeeds_badly"), {"it": "SUCCESS"}, {"succeeds_badly": 1, "on_success": 1},
        reason="the result is stored by then; celery 5.7 only logs it, and before it is an internal error",
    ),
    Scenario(
        "a result that can't be stored, with an errback", workflow("a_thing_with_errback"), {"it": "FAILURE"},
        {"a_thing": 1, "errback": 1},
    ),
    Scenario(
        "a result that can't be stored, in a chord", workflow("chord_of_a_thing"), {"it": "FAILURE"},
        {"a_thing": 1, "errback": 1},
    ),
    Scenario(
        "revoked, and the worker is killed", _revoke_and_kill, {"it": "SUCCESS", "killer": "PENDING"}, {"late": 1},
        profiles=("rabbitmq",), warm=True, reason="the new process knows nothing of what was revoked",
    ),
    # --------------------------------------------------------- what the broker does, and when
    Scenario(
        "the acknowledgement makes room before the body", _prefetched,
        {str(n): "SUCCESS" for n in range(3)}, {"ranked": 4},
        effects=[["ranked", 0], ["ranked", 1], ["ranked", "child"], ["ranked", 2]], profiles=("rabbitmq",),
    ),
    Scenario(
        "two queues of a topic exchange", _topic, {"it": "SUCCESS"}, {"early": 2}, warm=True,
        profiles=("rabbitmq",), reason="the worker has declared both bindings",
    ),
    Scenario(
        "eta as long as the visibility timeout", delayed(5, countdown=2), {"it": "SUCCESS"}, {"early": 1},
        broker_options=QUICK_REDIS, reason="it was delivered later than it was published",
    ),
    Scenario(
        "late ack after the visibility timeout", delayed(8, "outlives"), {"it": "SUCCESS"}, {"outlives": 2},
        profiles=("redis",), broker_options=QUICK_REDIS, reason="a sweep restores it while it runs",
    ),
    Scenario(
        "late ack after the visibility timeout, RabbitMQ", delayed(8, "outlives"), {"it": "SUCCESS"}, {"outlives": 1},
        profiles=("rabbitmq",), broker_options=QUICK_REDIS,
    ),
    Scenario(
        "properties, RabbitMQ", one("asks", queue="differential"), {"it": "SUCCESS"}, {"asks": 1, "asked": 1},
        effects=[["asks"], ["asked", None, AMQP]], profiles=("rabbitmq",),
        reason="Celery hands over no priority where a queue is given",
    ),
    Scenario(
        "properties, Redis", one("asks", queue="differential"), {"it": "SUCCESS"}, {"asks": 1, "asked": 1},
        effects=[["asks"], ["asked", 0, VIRTUAL]], profiles=("redis",),
    ),
    # ------------------------------------------------------------------------- workflows
    Scenario("chain", workflow("chain"), {"it": "SUCCESS"}, {"add": 3}, {"it": 7}),
    Scenario(
        "chain with a failure", workflow("chain_fails"), {"it": "FAILURE"}, {"add": 1, "boom": 1, "errback": 1},
        reason="the errback is called once, for the task that failed; what follows is marked as failed",
    ),
    Scenario(
        "chain that passes a set", workflow("chain_passes_a_set"),
        {"it": "FAILURE" if CELERY >= (5, 6) else "PENDING"}, {"a_set": 1},
        reason="celery 5.5 does not mark what follows in the chain",
    ),
    Scenario("group", workflow("group"), {"it": "SUCCESS"}, {"add": 2}, {"it": [2, 4]}),
    Scenario("chord", workflow("chord"), {"it": "SUCCESS"}, {"add": 2, "total": 1}, {"it": 6}),
    Scenario(
        "chord with a failure", workflow("chord_fails"), {"it": "FAILURE"}, {"add": 1, "boom": 1, "errback": 1}
    ),
    Scenario("chord of chains", workflow("chord_of_chains"), {"it": "SUCCESS"}, {"add": 3, "total": 1}, {"it": 7}),
    Scenario(
        "chord whose header ignores a result", workflow("chord_ignores"), {"it": "SUCCESS"}, {"add": 2, "total": 1},
        reason="with a Redis result backend; a generic key-value backend fails",
    ),
    Scenario(
        "chord with a part that raises Ignore", workflow("chord_part_ignores"), {"it": "PENDING"},
        {"ignore": 1, "add": 1}, reason="the callback never runs",
    ),
    Scenario(
        "chord whose callback fails", workflow("chord_body_fails"), {"it": "FAILURE"},
        {"add": 2, "boom": 1, "errback": 1},
    ),
    Scenario("group followed by a task", workflow("group_then_task"), {"it": "SUCCESS"}, {"add": 2, "total": 1}),
    Scenario("link", workflow("link"), {"it": "SUCCESS"}, {"add": 1, "seen": 1}, {"it": 2}),
    Scenario("errback", workflow("fails_with_errback"), {"it": "FAILURE"}, {"boom": 1, "errback": 1}),
    Scenario("replaced by a chain", workflow("replaced"), {"it": "SUCCESS"}, {"replaced": 1, "add": 2}, {"it": 4}),
]  # fmt: skip

NAMES = [scenario.name for scenario in SCENARIOS]
