"""Bodies that talk to a real Redis: what they do is seen, and put back, whatever becomes of the shadow."""

from __future__ import annotations

from importlib.util import find_spec
from textwrap import dedent, indent

import pytest

from pytest_backchannel.servers.brokers.redis import start_redis

redis = pytest.importorskip("redis")


HEAD = """
    import os
    import time

    import pytest
    import redis
    from celery import shared_task
    from django.core.cache import cache
    from parcels import carrier
    from parcels.models import Label, Parcel

    CLIENT = redis.Redis.from_url("{url}")
    ONE = redis.Redis.from_url("{url}", single_connection_client=True)
    WORDS = redis.Redis.from_url("{url}", decode_responses=True)
    PUBSUB = CLIENT.pubsub()
    SCRIPT = CLIENT.register_script("redis.call('incr', KEYS[1]) return redis.call('expire', KEYS[1], ARGV[1])")
    REAL = os.getpid()

    BEFORE = []

    @pytest.fixture
    def parcel(db):
        return Parcel.objects.create()

    def held():
        return {key: (CLIENT.dump(key), CLIENT.pexpiretime(key)) for key in sorted(CLIENT.keys())}

    def untouched():
        # In the test's own run, the server holds what it held before the shadows.
        if os.getpid() == REAL:
            assert BEFORE == [held()]
"""
LABEL = "Label.objects.filter(parcel_id=pk).exists() or Label.objects.create(parcel_id=pk, text='a')"
BODIES = {
    "leaves_its_lock": f"""
        if CLIENT.set("lock:1", "me", nx=True):
            {LABEL}
            CLIENT.delete("lock:1")
    """,
    "has_a_lock": f"""
        with CLIENT.lock("lock:2", timeout=60, blocking=False):
            {LABEL}
    """,
    "waits_for_the_dead": f"""
        with CLIENT.lock("lock:3", timeout=60, sleep=0.01):
            {LABEL}
    """,
    "counts": "ONE.incr('counter')",
    "pushes": "WORDS.rpush('list', pk)",
    "is_guarded": f"""
        {LABEL}
        CLIENT.set("done", 1, nx=True)
    """,
    "uses_a_pipeline": f"""
        with CLIENT.pipeline() as pipeline:
            pipeline.hset("hash", "b", 2)
            pipeline.expire("hash", 100)
            pipeline.get("text")
            assert pipeline.execute()[2] == b"one"
        {LABEL}
    """,
    "watches": """
        with CLIENT.pipeline() as pipeline:
            pipeline.watch("text")
            before = pipeline.get("text")
            pipeline.multi()
            pipeline.set("text", before + b"+")
            pipeline.execute()
    """,
    "runs_a_script": "SCRIPT(keys=['scripted'], args=[50])",
    "takes_from_all_kinds": """
        CLIENT.lpop("list"); CLIENT.spop("set"); CLIENT.zadd("sorted", {"x": 3}); CLIENT.xadd("stream", {"a": 1})
        CLIENT.persist("text"); CLIENT.rename("other", "renamed"); CLIENT.delete("hash", "sorted", "nothing")
    """,
    "changes_nothing": """
        CLIENT.delete("nothing"); CLIENT.set("text", "two", nx=True); CLIENT.get("text"); CLIENT.lpop("nothing")
        assert list(CLIENT.scan_iter("te*")) == [b"text"]
    """,
    "uses_djangos_cache": "cache.set('word', 'two'); cache._cache.get_client().incr('counter')",
    "is_killed": """
        CLIENT.set("text", "killed"); CLIENT.set("new", 1)
        if os.getpid() != REAL:
            os._exit(3)
    """,
}
# Of each: its verdict, its effects, and one of its findings.
EXPECTED = {
    "leaves_its_lock": (
        "BREAKS",
        ["redis SET lock:1", "INSERT parcels_label", "redis DEL lock:1"],
        "the message that comes again does nothing",
    ),
    "has_a_lock": ("BREAKS", ["redis SET lock:2", "INSERT parcels_label", "redis EVAL lock:2"], None),
    "waits_for_the_dead": ("LOOK", ["redis SET lock:3", "INSERT parcels_label", "redis EVAL lock:3"], None),
    "counts": ("LOOK", ["redis INCRBY counter"], "again: redis INCRBY counter"),
    "pushes": ("LOOK", ["redis RPUSH list"], "again: redis RPUSH list"),
    "is_guarded": ("NO DIFFERENCE FOUND", ["INSERT parcels_label", "redis SET done"], None),
    "uses_a_pipeline": (
        "NO DIFFERENCE FOUND",
        ["redis HSET hash, EXPIRE hash", "INSERT parcels_label"],
        "again: redis HSET hash, EXPIRE hash",
    ),
    "watches": ("NO DIFFERENCE FOUND", ["redis SET text"], None),
    "runs_a_script": ("LOOK", ["redis EVAL scripted"], "again: redis EVAL scripted"),
    "takes_from_all_kinds": (
        "LOOK",
        ["redis LPOP list", "redis SPOP set", "redis ZADD sorted", "redis XADD stream", "redis PERSIST text",
         "redis RENAME other renamed", "redis DEL hash sorted nothing"],
        None,
    ),
    "changes_nothing": ("NO EFFECT SEEN", [], None),
    "uses_djangos_cache": ("LOOK", ["cache.set word", "redis INCRBY counter"], "again: redis INCRBY counter"),
    "is_killed": ("NOT AUDITED", None, "a shadow died without a word"),
}  # fmt: skip
TOO_LONG = {
    "takes_too_long": """
        CLIENT.set("text", "late")
        if os.getpid() != REAL:
            import signal
            signal.signal(signal.SIGALRM, signal.SIG_IGN)
            while True: time.sleep(1)
    """,
}
REFUSED = {
    "flushes": ("CLIENT.flushdb()", "it asks Redis for FLUSHDB, which can't be put back"),
    "blocks": ("CLIENT.blpop('nothing', timeout=1)", "it asks Redis for BLPOP, which can't be put back"),
    "publishes": ("CLIENT.publish('channel', 'word')", "it asks Redis for PUBLISH, which can't be put back"),
    "subscribes": ("CLIENT.pubsub().subscribe('channel')", "it asks Redis for SUBSCRIBE, which can't be put back"),
    "selects": (
        "redis.Redis.from_url('{url}').execute_command('SELECT', 3)",
        "it asks Redis for SELECT, which can't be put back",
    ),
    "writes_much": ("CLIENT.append('huge', 'x')", "it writes a value of more than 1 MB to Redis"),
    "writes_many": (
        "CLIENT.mset({f'key:{n}': n for n in range(300)})",
        "it writes to more than 200 keys of Redis",
    ),
    "is_encrypted": (
        "redis.Redis.from_url('{url}'.replace('redis:', 'rediss:'), socket_timeout=0.5).get('text')",
        "it talks to Redis by a SSLConnection that the audit can't have, too",
    ),
    "keeps_answers": (
        """
        from redis.cache import CacheConfig
        redis.Redis.from_url("{url}", protocol=3, cache_config=CacheConfig()).get("text")
        """,
        "it talks to Redis by a client that keeps answers, as the test's own does",
    ),
    "reads_what_the_test_reads": (
        "assert PUBSUB.get_message(timeout=1)",
        "it reads from a connection to Redis that the test has opened",
    ),
    "mixes": (
        "cache.set('word', 'two'); CLIENT.get(cache.make_key('word'))",
        "it asks Redis itself for what it has written through a cache",
    ),
    "hides_its_keys": (
        """CLIENT.eval("for _, key in ipairs(redis.call('keys', '*')) do redis.call('del', key) end", 0)""",
        "it runs a script in Redis whose keys its text does not tell",
    ),
}
if find_spec("redis.cache") is None:  # redis-py 5.0
    del REFUSED["keeps_answers"]
KEEPS = """

    @pytest.fixture(autouse=True)
    def filled():
        CLIENT.flushall()
        CLIENT.set("text", "one", ex=3000)
        CLIENT.set("other", "1", px=2999999)
        CLIENT.rpush("list", 1, 2, 3)
        CLIENT.sadd("set", "a")
        CLIENT.hset("hash", "a", 1)
        CLIENT.zadd("sorted", {"a": 1.5})
        CLIENT.xadd("stream", {"b": 1}, id="5-1")
        CLIENT.set("huge", os.urandom(1_200_000))
        ONE.ping()
        PUBSUB.subscribe("news")
        BEFORE[:] = [held()]
"""


@pytest.fixture(scope="module")
def server():
    server = start_redis()
    yield server
    server.stop()


def module_of(bodies, url, call="task.delay(parcel.pk)"):
    """A test module with a task and a test for each."""
    text = dedent(HEAD).replace("{url}", url) + dedent(KEEPS)
    for name, body in bodies.items():
        body = body.replace("{url}", url)
        text += f"\n\n@shared_task\ndef {name}(pk):\n    untouched()\n" + indent(dedent(body).strip(), "    ")
        text += f"\n\ndef test_{name}(parcel):\n    task = {name}\n" + indent(dedent(call).strip(), "    ") + "\n"
    return text


def audited(parcels, bodies, server, **kwargs):
    """The result of a run, and what it tells of each task."""
    cache = {"BACKEND": "django.core.cache.backends.redis.RedisCache", "LOCATION": server.url}
    parcels.project.settings(f'CACHES = {{"default": {cache!r}}}')
    return parcels.test(module_of(bodies, server.url, **kwargs))


def effects_of(task):
    return [effect.rpartition(" (")[0] for call in task["calls"] for effect in call["effects"]]


def test_what_is_done_in_a_real_redis(parcels, server):
    result, found = audited(parcels, BODIES, server)
    result.assert_outcomes(passed=len(BODIES))
    for name, (verdict, effects, text) in EXPECTED.items():
        task = found[name]
        told = [cause["text"] for cause in task["causes"]] + [task["reason"]]
        assert (name, task["verdict"], task["reason"] if verdict != "NOT AUDITED" else "") == (name, verdict, ""), told
        assert effects is None or effects_of(task) == effects, name
        assert text is None or text in told, (name, told)


def test_what_cannot_be_put_back_is_not_audited(parcels, server):
    bodies = {name: body for name, (body, _) in REFUSED.items()}
    call = "import contextlib\nwith contextlib.suppress(redis.RedisError): task.delay(parcel.pk)"
    result, found = audited(parcels, bodies, server, call=call)
    result.assert_outcomes(passed=len(REFUSED))
    told = {name: (found[name]["verdict"], found[name]["reason"].partition(", at test_it.py:")[0]) for name in REFUSED}
    assert told == {name: ("NOT AUDITED", reason) for name, (_, reason) in REFUSED.items()}


@pytest.mark.slow
def test_a_shadow_that_is_killed_is_put_back(parcels, server):
    result, found = audited(parcels, TOO_LONG, server)
    result.assert_outcomes(passed=1)
    assert found["takes_too_long"]["reason"] == "a shadow did not end in its time"


LEFT_BEHIND = """
    import redis
    from celery import shared_task
    from pytest_backchannel.questions.audit.stores import redis_put_back

    CLIENT = redis.Redis.from_url("{url}")

    @shared_task
    def counts():
        return CLIENT.incr("counter")

    @shared_task
    def counts_elsewhere():
        return CLIENT.incr("another")

    def test_first(db, monkeypatch):
        monkeypatch.setattr(redis_put_back, "_PATIENCE", 0.0)
        monkeypatch.setattr(redis_put_back, "_try", lambda *args: "it is gone")
        counts.delay()

    def test_second(db):
        assert counts_elsewhere.delay().get() == 1
"""


def test_a_test_does_not_go_on_with_what_could_not_be_put_back(parcels, server):
    parcels.project.settings("CELERY_TASK_EAGER_PROPAGATES = False")
    result, found = parcels.test(LEFT_BEHIND.replace("{url}", server.url))
    result.assert_outcomes(passed=1, failed=1)
    result.stdout.fnmatch_lines(
        [
            "*RedisNotPutBack: the audit has run a task in a copy of this process, and can't put back what the copy "
            f"wrote to {server.url}: it is gone.",
            "*These keys may hold something else than before: counter.",
        ]
    )
    assert found["counts_elsewhere"]["reason"] == "an earlier audit could not put back what it had written to Redis"


TWIN = """
    import pytest
    from celery import shared_task

    valkey = pytest.importorskip("valkey")
    CLIENT = valkey.Valkey.from_url("{url}".replace("redis:", "valkey:"))

    @shared_task
    def counts():
        return CLIENT.incr("counter")

    def test_it(db):
        CLIENT.delete("counter")
        assert counts.delay().get() == 1
"""


@pytest.mark.skipif(find_spec("valkey") is None, reason="valkey-py is not installed")
def test_its_twin_does_the_same(parcels, server):
    result, found = parcels.test(TWIN.replace("{url}", server.url))
    result.assert_outcomes(passed=1)
    assert (found["counts"]["verdict"], effects_of(found["counts"])) == ("LOOK", ["redis INCRBY counter"])
