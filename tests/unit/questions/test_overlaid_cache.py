"""A cache above another one: what it says, and that the one below is left as it is."""

from __future__ import annotations

import time
from types import SimpleNamespace

import pytest
from django.core.cache.backends.locmem import LocMemCache

from pytest_backchannel.questions.audit.stores import overlaid_cache, redis_guard
from pytest_backchannel.questions.audit.stores.overlaid_cache import overlay


class Below(LocMemCache):
    """Has what a cache of a project may add to Django's."""

    label = "below"
    server = SimpleNamespace()

    def flush_all(self):
        raise AssertionError("it was let through")


class LikeRedis(Below):
    """As much of django-redis as the overlay asks for."""

    def delete_pattern(self, pattern):
        raise AssertionError("it was let through")

    def keys(self, search, version=None):
        return [whole.split(":", 2)[2] for whole in self._cache]

    def pttl(self, key, version=None):
        until = self._expire_info[self.make_key(key, version)]
        return None if until is None else int((until - time.time()) * 1000)


@pytest.fixture
def below(request):
    cache = getattr(request, "param", Below)("below", {"TIMEOUT": 300, "KEY_PREFIX": "shop", "VERSION": 2})
    cache.set("word", "one", timeout=None)
    cache.set("count", 5, timeout=100)
    before = dict(cache._cache), dict(cache._expire_info)
    yield cache
    assert (dict(cache._cache), dict(cache._expire_info)) == before
    cache.clear()
    redis_guard.cached_keys.clear()


def test_it_says_what_is_below_until_it_is_written(below):
    cache = overlay(below)
    assert (cache.get("word"), cache.get("nothing", 3), "word" in cache) == ("one", 3, True)
    cache.set("word", ["two"])
    cache.get("word").append("three")  # a copy, as of a real one
    assert cache.get("word") == ["two"]
    assert cache.delete("word")
    assert (cache.get("word"), "word" in cache, cache.delete("word")) == (None, False, False)
    assert cache.add("word", "again")
    assert not cache.add("word", "and again")
    assert cache.get_many(["word", "count", "x"]) == {"word": "again", "count": 5}
    assert cache.incr("count") == 6
    assert cache.decr("count", 2) == 4
    with pytest.raises(ValueError, match="not found"):
        cache.incr("nothing")
    assert cache.get_or_set("made", lambda: 1) == 1
    assert cache.incr_version("made") == 3
    assert cache.get("made", version=3) == 1
    cache.clear()
    assert (cache.get("word"), cache.get("count")) == (None, None)
    assert not cache.touch("word")
    assert redis_guard.cached_keys >= {b"shop:2:word", b"shop:2:count", b"shop:3:made"}


def test_it_has_the_settings_of_the_one_below(below):
    cache = overlay(below)
    assert (cache.default_timeout, cache.key_prefix, cache.version, cache.label) == (300, "shop", 2, "below")
    assert cache.make_key("word") == "shop:2:word"
    with pytest.raises(AttributeError):
        cache.missing  # noqa: B018
    assert not hasattr(cache, "ttl")


def test_what_expires_is_gone_though_it_is_below(below):
    cache = overlay(below)
    cache.set("word", "two", timeout=0)
    assert cache.get("word") is None
    assert cache.touch("count", timeout=-1)
    assert cache.get("count") is None


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (lambda cache: cache.flush_all(), r"it uses flush_all\(\) of Below, which may write past the audit"),
        (lambda cache: cache.server, "it uses server of Below, which may write past the audit"),
    ],
)
def test_what_it_does_not_know_is_refused(below, use, reason):
    with pytest.raises(RuntimeError, match=reason):  # as it is no shadow
        use(overlay(below))


def test_a_client_of_redis_is_let_through_and_watched_there(below, monkeypatch):
    monkeypatch.setattr(overlaid_cache, "_OF_REDIS", (__name__,))
    assert overlay(below).server is Below.server


@pytest.mark.parametrize("below", [LikeRedis], indirect=True)
def test_what_django_redis_adds(below):
    cache = overlay(below)
    assert (cache.ttl("word"), cache.ttl("count"), cache.ttl("nothing")) == (None, 100, 0)
    assert cache.incr("count") == 6
    assert 99 <= cache.ttl("count") <= 100  # it expires when it did
    assert cache.persist("count")
    assert not cache.persist("count")
    assert cache.expire("count", 20)
    assert cache.ttl("count") == 20
    assert cache.pexpire("count", 30_000)
    assert cache.expire_at("word", time.time() + 9)
    assert (cache.ttl("count"), cache.ttl("word")) == (30, 9)
    assert not cache.set("word", "x", nx=True)
    assert cache.set("word", "x", xx=True)
    assert not cache.set("nothing", "x", xx=True)
    cache.set("words", "y")
    assert sorted(cache.keys("wor*")) == ["word", "words"]
    assert cache.delete_pattern("wor*") == 2
    assert list(cache.iter_keys("*")) == ["count"]
