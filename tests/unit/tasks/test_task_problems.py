"""What goes unseen is written into the log, once, with its line; what is intended is not."""

from __future__ import annotations

import pytest
import stepped_tasks as t
from celery import chain, chord, group
from celery.exceptions import NotRegistered
from kombu import Exchange
from support.versions import since_celery

from pytest_backchannel.clock.virtual import VirtualClock
from pytest_backchannel.errors import RealBrokerContacted, UnexpectedLoss
from pytest_backchannel.events import begin_log
from pytest_backchannel.tasks.queue import TaskQueue
from pytest_backchannel.tasks.stepped.worker import _wrap_body


@pytest.fixture(autouse=True)
def fresh():
    t.runs.clear()
    begin_log()


@pytest.fixture
def queue():
    with TaskQueue(t.app, queues=["celery"]) as queue:
        yield queue


def problems(queue):
    """The slugs and texts of what went unseen."""
    queue.log.run_checks()
    return [(problem.slug, problem.text, problem.where) for problem in queue.log.take_problems()]


def slugs(queue):
    return [slug for slug, _, _ in problems(queue)]


def test_a_retry_that_is_swallowed_and_one_that_is_not_raised(queue):
    t.retries_politely.delay()
    t.flaky.delay()
    queue.run_until_idle()
    assert slugs(queue) == []
    t.swallows.delay()
    queue.run_until_idle()
    ((slug, text, where),) = problems(queue)
    assert slug == "swallowed_retry"
    assert "stepped_tasks.swallows called self.retry()" in text
    assert where.path.endswith("stepped_tasks.py")


def test_a_failure_counts_as_seen_where_the_test_looked(queue):
    t.boom.delay()
    queue.run(propagate=False)
    t.boom.delay()
    with pytest.raises(ValueError, match="boom"):
        queue.run()
    seen = t.boom.delay()
    queue.run(propagate=False)
    assert seen.state == "FAILURE"
    ((slug, text, where),) = problems(queue)
    assert slug == "failed_task"
    assert "stepped_tasks.boom() failed with ValueError('boom')" in text
    assert where.path == __file__


@pytest.mark.parametrize(
    "look",
    [
        lambda queue, counts, result: counts["FAILURE"],
        lambda queue, counts, result: counts == {"FAILURE": 1},
        lambda queue, counts, result: list(counts),
        lambda queue, counts, result: queue.failures,
        lambda queue, counts, result: result.state,
        lambda queue, counts, result: result.get(propagate=False),
    ],
    ids=["count", "counts", "states", "failures", "state", "get"],
)
def test_every_way_of_looking(queue, look):
    result = t.boom.delay()
    counts = queue.run(propagate=False)
    assert look(queue, counts, result)
    assert slugs(queue) == []


def test_a_queue_that_nobody_serves_and_an_exchange_without_a_queue(queue):
    t.add.apply_async((1, 1), queue="mail")
    t.add.apply_async((1, 1), exchange=Exchange("nowhere", type="topic"), routing_key="a.b")
    found = problems(queue)
    assert {slug for slug, _, _ in found} == {"unserved_queue", "unroutable_message"}
    texts = "\n".join(text for _, text, _ in found)
    assert "stepped_tasks.add waits in queue 'mail', which no worker consumes" in texts
    assert "exchange 'nowhere' with routing key 'a.b', and no queue is bound for that" in texts
    assert all(where.path == __file__ for _, _, where in found)


def test_where_the_project_says_nothing_every_queue_is_served():
    with TaskQueue(t.app) as queue:
        t.add.apply_async((1, 1), queue="mail")
        assert slugs(queue) == []
        assert queue.run() == {"SUCCESS": 1}


def test_an_unknown_task_is_told_with_the_nearest_name(queue):
    t.app.send_task("stepped_tasks.ad", (1, 1))
    assert queue.run() == {"FAILURE": 1}
    ((slug, text, _),) = problems(queue)
    assert slug == "unknown_task"
    assert "Is 'stepped_tasks.add' meant?" in text


def test_a_task_that_a_fresh_worker_does_not_have_is_unknown_though_this_process_has_it():
    asked = []

    def why(task):
        asked.append(task.name)
        return "It is defined in a module that nobody imports." if task.name == "stepped_tasks.add" else None

    with TaskQueue(t.app, queues=["celery"], result_backend="cache", why_unregistered=why) as queue:
        assert asked == []
        results = [t.add.delay(1, 1), t.add.delay(2, 2), t.late.delay()]
        assert queue.run() == {"FAILURE": 2, "SUCCESS": 1}
        assert [result.state for result in results] == ["FAILURE", "FAILURE", "SUCCESS"]
        with pytest.raises(NotRegistered):
            results[0].get()
        assert t.runs == [("late", 0)]
        found = problems(queue)
    assert [slug for slug, _, _ in found] == ["unknown_task", "unknown_task"]
    assert found[0][1] == (
        "no worker knows a task named 'stepped_tasks.add': its message was thrown away.\n"
        "It is defined in a module that nobody imports."
    )
    assert found[0][2].path == __file__


@pytest.mark.parametrize(("part", "pending"), [(t.ignores, ["pending_chord"]), (t.total, [])])
def test_a_chord_that_can_never_end(queue, part, pending):
    header = [part.s() if part is t.ignores else part.s([1]), t.add.s(1, 1)]
    chord(header, t.total.s())()
    queue.run()
    assert slugs(queue) == pending


@pytest.mark.parametrize(
    "part", [t.add.s(2, 2).set(countdown=60), chain(t.add.s(2, 2), t.add.s(3).set(countdown=60))], ids=["task", "chain"]
)
def test_a_chord_whose_parts_still_wait_is_not_pending(queue, part):
    chord([t.add.s(1, 1), part], t.total.s())()
    queue.run()
    assert slugs(queue) == []
    queue.run_until_idle()
    assert queue.succeeded[-1].name == t.total.name
    assert slugs(queue) == []


def test_a_connection_to_a_real_broker_is_refused(queue):
    from kombu import Connection

    with pytest.raises(RealBrokerContacted, match="redis://127.0.0.1:1"):
        Connection("redis://127.0.0.1:1/0").connect()
    assert slugs(queue) == ["real_broker"]
    Connection("memory://").connect()
    assert slugs(queue) == []


def test_a_plain_context_manager_raises_on_demand():
    with TaskQueue(t.app) as queue:
        t.boom.delay()
        queue.run(propagate=False)
        with pytest.raises(UnexpectedLoss, match="failed_task: stepped_tasks.boom"):
            queue.log.raise_problems()


def test_a_tracer_that_has_changed_is_told_of():
    def tracer():
        """Not what build_tracer() makes."""

    with pytest.raises(Exception, match="this version of Celery is not supported yet"):
        _wrap_body(tracer, lambda function: function)


@pytest.mark.parametrize(
    ("workflow", "look"),
    [
        (chain(t.boom.s(), t.total.s()), lambda result: result.state == "FAILURE"),
        (chain(t.boom.s(), t.total.s(), t.total.s()), lambda result: result.failed()),
        (group(t.boom.s(), t.add.s(1, 1)), lambda result: result.failed()),
        (chord([t.boom.s(), t.add.s(1, 1)], t.total.s()), lambda result: result.state == "FAILURE"),
        (chord([chain(t.boom.s(), t.total.s())], t.total.s()), lambda result: result.failed()),
        pytest.param(
            chain(t.boom.s(), chord([t.add.s(1)], t.total.s())),
            lambda result: result.state == "FAILURE",
            marks=since_celery(5, 7, before="a chord that follows in a chain stays PENDING"),
        ),
    ],
    ids=["chain", "longer chain", "group", "chord", "chord of a chain", "chain with a chord"],
)
@pytest.mark.parametrize("looks", [True, False])
def test_who_looks_at_the_result_of_a_workflow_has_seen_the_failure_of_its_part(queue, workflow, look, looks):
    result = workflow.apply_async()
    queue.run(propagate=False)
    if looks:
        assert look(result)
    assert slugs(queue) == ([] if looks else ["failed_task"])


def test_a_look_at_what_came_before_is_none(queue):
    result = chain(t.add.s(1, 1), t.boom.s()).apply_async()
    queue.run(propagate=False)
    assert result.parent.state == "SUCCESS"
    assert slugs(queue) == ["failed_task"]


@pytest.fixture
def limited(monkeypatch):
    monkeypatch.setattr(t.slow, "acks_late", True)
    return t.slow


@pytest.mark.parametrize(
    ("profile", "visibility", "found"),
    [("redis", 19, "may run for 20 s, by its time limit"), ("redis", 20, None), ("rabbitmq", 19, None)],
)
def test_a_late_task_that_may_outlive_the_visibility_timeout(limited, profile, visibility, found):
    with TaskQueue(t.app, profile=profile, visibility_timeout=visibility) as queue:
        limited.delay(0)
        limited.delay(0)
        queue.run()
        told = problems(queue)
    assert [slug for slug, _, _ in told] == (["late_ack_beyond_visibility"] if found else [])
    if found:
        assert found in told[0][1]
        assert told[0][2].path == __file__


def test_a_late_task_that_has_outlived_it_though_no_sweep_came(limited):
    with VirtualClock(), TaskQueue(t.app, profile="redis", visibility_timeout=4) as queue:
        limited.apply_async((5,), time_limit=3600)
        assert queue.run() == {"SUCCESS": 1}
        ((slug, text, _),) = problems(queue)
    assert slug == "late_ack_beyond_visibility"
    assert "stepped_tasks.slow has acks_late and ran for 5 s" in text
