"""What is known of Redis' commands and scripts, how it is noted before a shadow writes, and how it is put back."""

from __future__ import annotations

import os
import select
import subprocess
import sys
import threading

import pytest

from pytest_backchannel.errors import RedisNotPutBack
from pytest_backchannel.questions.audit.audit_data import Effect
from pytest_backchannel.questions.audit.shadows import told_parent
from pytest_backchannel.questions.audit.shadows.forking import NotAudited, forked
from pytest_backchannel.questions.audit.stores import redis_commands, redis_others, redis_put_back
from pytest_backchannel.questions.audit.stores.redis_commands import adds_up, changed, effect_of, reads, written_keys
from pytest_backchannel.questions.audit.stores.redis_guard import RedisGuard
from pytest_backchannel.questions.audit.stores.redis_journal import Held, Journal
from pytest_backchannel.questions.audit.stores.redis_link import ErrorReply, Link, Place, commands_of
from pytest_backchannel.questions.audit.stores.redis_put_back import redis_put_back as put_back
from pytest_backchannel.questions.audit.stores.redis_scripts import commands_in
from pytest_backchannel.questions.audit.weighing.effect_changes import again, differing
from pytest_backchannel.questions.audit.weighing.noise import Noise
from pytest_backchannel.servers.brokers.redis import start_redis

redis = pytest.importorskip("redis")


@pytest.fixture(scope="module")
def server():
    server = start_redis()
    yield server
    server.stop()


@pytest.fixture
def place(server):
    server.clear()
    return Place("127.0.0.1", server.port, "", 0)


@pytest.fixture
def link(place):
    link = Link(place)
    yield link
    link.close()


# ------------------------------------------------------------------ the table


# What a server does not say of its own: HyperLogLog counts into its value, and these only look as if they wrote.
UNLIKE_THE_SERVER = {"PFCOUNT"}


def known_by(link, names):
    return {
        name: said
        for name, said in zip(names, link.ask([b"COMMAND", b"INFO", *map(str.encode, names)])[0], strict=True)
        if said
    }


def test_no_command_that_reads_writes(link):
    found = known_by(link, sorted(redis_commands._READS))
    assert len(found) > 80
    assert not {name for name, said in found.items() if b"write" in said[2] or b"blocking" in said[2]}


def test_the_keys_that_a_command_writes_are_where_the_server_says(link):
    found = known_by(link, sorted(redis_commands.WRITES))
    assert len(found) > 70
    for name, said in found.items():
        assert (b"write" in said[2]) is (name not in UNLIKE_THE_SERVER), name
        assert b"blocking" not in said[2], name
        keys = redis_commands.WRITES[name]
        writing = [spec for spec in said[8] if {b"RW", b"OW", b"RM"} & set(_of(spec, b"flags"))]
        assert writing or name in UNLIKE_THE_SERVER, name
        for spec in writing:
            first = _of(_of(spec, b"begin_search"), b"spec")
            assert _of(first, b"index") >= keys.first, name
            last = _of(_of(_of(spec, b"find_keys"), b"spec"), b"lastkey")
            assert keys.last < 0 or _of(first, b"index") + last <= keys.last, name
            assert last >= 0 or (keys.last < 0), name


def _of(pairs, name):
    return dict(zip(pairs[::2], pairs[1::2], strict=True))[name]


def words(text):
    return [word.encode() for word in text.split()]


@pytest.mark.parametrize(
    ("text", "keys"),
    [
        ("SET a 1 NX", [b"a"]),
        ("set a 1", [b"a"]),
        ("DEL a b c", [b"a", b"b", b"c"]),
        ("MSET a 1 b 2", [b"a", b"b"]),
        ("RENAME a b", [b"a", b"b"]),
        ("SINTERSTORE a b c", [b"a"]),
        ("BITOP AND a b c", [b"a"]),
        ("COPY a b", [b"a", b"b"]),
        ("COPY a b DB 3", None),
        ("FLUSHDB", None),
        ("EVAL x 0", None),
        ("SORT a STORE b", None),
        ("XREADGROUP GROUP a b STREAMS c >", None),
        ("JSON.SET a $ 1", None),
    ],
)
def test_which_keys_it_writes(text, keys):
    assert not reads(words(text))
    assert written_keys(words(text)) == keys


@pytest.mark.parametrize(
    "text", ["GET a", "get a", "SCRIPT LOAD x", "script exists x", "CLIENT SETINFO a b", "CONFIG GET x"]
)
def test_what_reads(text):
    assert reads(words(text))


@pytest.mark.parametrize(
    "text", ["SCRIPT FLUSH", "SCRIPT", "CONFIG SET a b", "CLIENT KILL x", "SUBSCRIBE a", "BLPOP a 1", ""]
)
def test_what_is_not_known_to_read(text):
    assert not reads(words(text))


@pytest.mark.parametrize(
    ("text", "reply", "is_changed"),
    [
        ("SET a 1", True, True),
        ("SET a 1 NX", None, False),
        ("SET a 1 NX GET", None, True),
        ("SET a 1 NX", True, True),
        ("DEL a", 0, False),
        ("DEL a", 1, True),
        ("LINSERT a BEFORE b c", -1, False),
        ("LPOP a", None, False),
        ("LPOP a", b"", False),
        ("EXPIRE a 1", False, False),
        ("GETEX a", b"1", False),
        ("GETEX a PERSIST", b"1", True),
        ("HSET a b 1", 0, True),
        ("PFCOUNT a", 1, False),
    ],
)
def test_whether_something_has_changed(text, reply, is_changed):
    assert changed(words(text), reply) is is_changed


def test_what_adds_up():
    assert adds_up(effect_of(["SET", "RPUSH"]))
    assert not adds_up(effect_of(["SET", "EXPIRE"]))
    assert not adds_up("cache.set")
    assert not adds_up("")


@pytest.mark.parametrize(("name", "level"), [("RPUSH", "look"), ("INCRBY", "look"), ("SET", "small"), ("DEL", "small")])
def test_how_much_it_matters(name, level):
    effect = Effect(kind="cache", label=f"redis {name} jobs:7", of=effect_of([name]), where="tasks.py:3")
    (more,) = again([effect])
    assert (more.level, more.text) == (level, f"again: redis {name} jobs:7")
    (less,) = differing([effect], [], Noise())
    assert (less.level, less.text) == (level, f"never: redis {name} jobs:7")


# ---------------------------------------------------------------- its scripts


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (redis.lock.Lock.LUA_RELEASE_SCRIPT, ["DEL"]),
        (redis.lock.Lock.LUA_EXTEND_SCRIPT, ["PEXPIRE"]),
        (redis.lock.Lock.LUA_REACQUIRE_SCRIPT, ["PEXPIRE"]),
        ("return redis.call('INCRBY', KEYS[1], ARGV[1])", ["INCRBY"]),
        ("local key = KEYS[1]; if redis.call('EXISTS', key) == 1 then redis.call(\"set\", key, 'a,)b') end", ["SET"]),
        ("for i, key in ipairs(KEYS) do redis.pcall('del', key) end", ["DEL"]),
        ("return redis.call('del', unpack(KEYS))", ["DEL"]),
        ("redis.call('rename', KEYS[1], KEYS[2]) -- redis.call('del', 'a')", ["RENAME"]),
        ("return redis.call('get', ARGV[1])", []),
        ("redis.call('set', KEYS[1] .. ':lock', 1)", None),
        ("redis.call('del', ARGV[1])", None),
        ("redis.call('rename', KEYS[1], ARGV[1])", None),
        ("redis.call(ARGV[1], KEYS[1])", None),
        ("redis.call('flushall')", None),
        ("local key = KEYS[1]; key = ARGV[1]; redis.call('del', key)", None),
        ("local key = KEYS[1]; for _, key in ipairs(ARGV) do redis.call('del', key) end", None),
        ("local call = redis.call; call('del', 'a')", None),
        ("pcall(redis.call, 'del', 'a')", None),
        ("redis['call']('del', 'a')", None),
        ("local r = redis; r.call('del', 'a')", None),
        ("redis.call'flushall'", None),
        ("redis.call('del', KEYS[1], unpack(ARGV))", None),
        ("loadstring('x')()", None),
        ("for i = 1, #KEYS do redis.call('incr', KEYS[i]) end", ["INCR"]),
        ("if KEYS[1] == KEYS[2] then redis.call('incr', KEYS[1]) end", ["INCR"]),
        ("KEYS[1] = ARGV[1]; redis.call('del', KEYS[1])", None),
        ("KEYS[1], KEYS[2] = ARGV[1], ARGV[2]; redis.call('del', KEYS[1])", None),
        ("table.insert(KEYS, ARGV[1]); redis.call('del', KEYS[1])", None),
        ("local all = KEYS; all[1] = ARGV[1]; redis.call('del', KEYS[1])", None),
        ("KEYS = ARGV; redis.call('del', KEYS[1])", None),
        ("KEYS[ARGV[1]] = 'a'; redis.call('del', KEYS[1])", None),
        ("local function f(key) redis.call('del', key) end local key = KEYS[1] f(ARGV[1])", None),
        ("--[==[ ]] redis.call('del', 'a') ]==] return redis.call('del', KEYS[1])", ["DEL"]),
        ("redis.call('set', KEYS[1], '--') redis.call('flushall')", None),
        ("redis.call('set', KEYS[1], '\\'--') redis.call('flushall')", None),
        ("local a = [[ ' ]] redis.call('flushall') --'", None),
    ],
)
def test_which_commands_of_a_script_write(text, found):
    assert commands_in(text) == found


# --------------------------------------------------------------- on the wire


def test_what_a_client_sends():
    packed = b"*2\r\n$3\r\nGET\r\n$1\r\na\r\n*3\r\n$3\r\nSET\r\n$4\r\n\r\n*1\r\n$0\r\n\r\n"
    assert commands_of(packed) == [[b"GET", b"a"], [b"SET", b"\r\n*1", b""]]
    with pytest.raises(ValueError, match="no command of Redis"):
        commands_of(b"GET a\r\n")


def test_what_a_server_answers(link):
    assert link.ask([b"SET", b"a", b"1"], [b"GET", b"a"], [b"GET", b"b"], [b"MGET", b"a", b"b"], [b"DEL", b"a"]) == [
        b"OK",
        b"1",
        None,
        [b"1", None],
        1,
    ]
    (said,) = link.ask([b"NOTHING"])
    assert isinstance(said, ErrorReply)


def test_a_place_with_a_password_and_a_number(link, place):
    link.ask([b"ACL", b"SETUSER", b"guest", b"on", b">word", b"~*", b"+@all"])
    other = Link(place._replace(database=3, username="guest", password="word"))
    assert other.ask([b"ACL", b"WHOAMI"], [b"SET", b"a", b"3"]) == [b"guest", b"OK"]
    other.close()
    assert link.ask([b"GET", b"a"]) == [None]
    with pytest.raises(ConnectionError, match="WRONGPASS"):
        Link(place._replace(username="guest", password="another"))


# ---------------------------------------------------------------- put back


def test_what_was_not_noted_to_its_end_was_not_done():
    journal = Journal()
    held = [Held(Place("a", 1, "", 0), b"\xff", b"\x00dump", 5), Held(Place("", 0, "/b", 2, "u", "p"), b"b", None, 0)]
    journal.note_held(held[:1])
    journal.note_client(held[1].place, "127.0.0.1:5")
    journal.note_held(held[1:])
    os.write(journal._descriptor, b'{"place": ["a", 1')
    assert journal.read() == (held, {(held[1].place, "127.0.0.1:5")})
    journal.close()


def writing(place, *commands, ends=lambda: None):
    """In a shadow: send commands as a client would."""

    def work():
        guard, own = RedisGuard(), Link(place)
        for command in commands:
            guard.before(place, [words(command)], "")
            own.ask(words(command))
        ends()
        told_parent.tell({"seen": [str(one) for one in own.ask([b"GET", b"a"])]})

    return work


def test_it_holds_what_it_held_and_expires_when_it_did(link, place):
    link.ask(words("SET a 1 PXAT 4000000000123"), words("SET b 1"), words("RPUSH c 1 2"), words("SET gone 1 PX 30"))
    before = link.ask(words("DUMP a"), words("PEXPIRETIME a"), words("DUMP b"), words("PEXPIRETIME b"), words("DUMP c"))
    with put_back():
        told = forked(
            writing(place, "SET a 2", "SET a 3", "EXPIRE b 100", "DEL c", "SET new 1", "SET gone 2", "WATCH a"), 5
        )
        assert told == {"seen": ["b'3'"]}
        select.select([], [], [], 0.05)
    asked = (words("DUMP a"), words("PEXPIRETIME a"), words("DUMP b"), words("PEXPIRETIME b"), words("DUMP c"))
    assert link.ask(*asked) == before
    assert link.ask(words("EXISTS new"), words("EXISTS gone")) == [0, 0]


def test_a_server_that_does_not_know_pexpiretime(link, place):
    link.ask([b"ACL", b"SETUSER", b"old", b"reset", b"on", b">word", b"~*", b"+@all", b"-pexpiretime"])
    link.ask(words("SET a 1 PX 2000000"), words("SET b 1"))
    (before,) = link.ask(words("PEXPIRETIME a"))
    with put_back():
        forked(writing(place._replace(username="old", password="word"), "SET a 2", "EXPIRE b 9", "SET c 1"), 5)
    after, b, c = link.ask(words("PEXPIRETIME a"), words("PEXPIRETIME b"), words("EXISTS c"))
    assert abs(after - before) <= 2
    assert (b, c) == (-1, 0)


def test_of_two_names_of_one_server_the_first_note_counts(link, place):
    link.ask(words("SET a 1"))
    other = place._replace(host="localhost")

    def work():
        guard, own = RedisGuard(), Link(place)
        for at, command in ((place, "SET a 2"), (other, "SET a 3")):
            guard.before(at, [words(command)], "")
            own.ask(words(command))
        told_parent.tell({})

    with put_back():
        forked(work, 5)
    assert link.ask(words("GET a")) == [b"1"]


def test_two_threads_of_one_body(link, place):
    names = [f"key:{number}" for number in range(60)]

    def work():
        guard = RedisGuard()

        def write(names):
            own = Link(place)
            for name in names:
                guard.before(place, [words(f"SET {name} 1")], "")
                own.ask(words(f"SET {name} 1"))

        threads = [threading.Thread(target=write, args=(names[at::4],)) for at in range(4)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        told_parent.tell({"there": Link(place).ask(words("DBSIZE"))})

    with put_back():
        assert forked(work, 5) == {"there": [60]}
    assert link.ask(words("DBSIZE")) == [0]


@pytest.mark.parametrize("ends", [lambda: os._exit(3), lambda: os.kill(os.getpid(), 9)])
def test_it_is_put_back_when_the_shadow_dies(link, place, ends):
    link.ask(words("SET a 1"))
    with put_back(), pytest.raises(NotAudited):
        forked(writing(place, "SET a 2", ends=ends), 5)
    assert link.ask(words("GET a")) == [b"1"]


def test_while_another_client_waits_for_a_key_nothing_is_written(link, place):
    waiting = Link(place)
    waiting._socket.sendall(b"*3\r\n$5\r\nBLPOP\r\n$4\r\njobs\r\n$1\r\n0\r\n")
    while b"blocked_clients:1" not in link.ask(words("INFO clients"))[0]:
        pass
    with put_back(), pytest.raises(NotAudited, match="another client waits for a key"):
        forked(writing(place, "RPUSH jobs 1"), 5)
    waiting.close()


CLIENT = """
import socket, sys
own = socket.create_connection(("127.0.0.1", int(sys.argv[1])))
own.sendall(b"SELECT %s\\r\\nPING\\r\\n" % sys.argv[2].encode())
while b"PONG" not in own.recv(100):
    pass
print("there", flush=True)
sys.stdin.read()
"""


@pytest.fixture
def another(place):
    """Makes another process a client of a database of the server."""
    started = []

    def connect(database):
        code = [sys.executable, "-c", CLIENT, str(place.port), str(database)]
        started.append(subprocess.Popen(code, stdin=subprocess.PIPE, stdout=subprocess.PIPE))
        assert started[-1].stdout.readline() == b"there\n"

    yield connect
    for process in started:
        process.communicate()


def test_what_another_process_may_use_is_not_written(link, place, another):
    another(3)
    with put_back():  # a database of its own
        forked(writing(place, "SET a 1"), 5)
    another(0)
    with put_back(), pytest.raises(NotAudited, match=r"another process uses, too \(127.0.0.1:\d+\)"):
        forked(writing(place, "SET a 1"), 5)
    assert link.ask(words("EXISTS a")) == [0]


def test_behind_a_proxy_clients_are_counted(link, place, another, monkeypatch):
    monkeypatch.setattr(redis_others, "name_of_end", lambda end: "172.17.0.1:1")
    with put_back():
        forked(writing(place, "SET a 1"), 5)
    another(3)
    with put_back(), pytest.raises(NotAudited, match=r"\(4 clients, of which 3 are known\)"):
        forked(writing(place, "SET a 1"), 5)


def test_a_connection_that_the_shadow_has_closed_is_still_the_tests(link, place):
    def work():
        guard = RedisGuard()
        link.close()
        guard.before(place, [words("SET a 1")], "")
        told_parent.tell({})

    with put_back():
        assert forked(work, 5) == {}


def test_while_another_client_watches_nothing_is_written(link, place):
    if b"watching_clients" not in link.ask(words("INFO clients"))[0]:
        pytest.skip("this server does not tell")
    link.ask(words("WATCH a"))
    with put_back(), pytest.raises(NotAudited, match="another client waits for a key"):
        forked(writing(place, "WATCH b", "SET a 1"), 5)
    assert link.ask(words("MULTI"), words("EXEC"))[1] == []


@pytest.mark.parametrize("command", ["-restore", "-dump", "-del", "-info", "-client|list"])
def test_where_it_could_not_be_put_back_nothing_is_written(link, place, command):
    link.ask([b"ACL", b"SETUSER", b"guest", b"reset", b"on", b">word", b"~*", b"+@all", command.encode()])
    guest = place._replace(username="guest", password="word")
    with put_back(), pytest.raises(NotAudited, match="it writes to a Redis that does not"):
        forked(writing(guest, "SET a 1"), 5)
    assert link.ask(words("EXISTS a")) == [0]


@pytest.fixture
def forgotten():
    yield
    redis_put_back._failed.value = None


@pytest.mark.usefixtures("forgotten")
def test_what_can_not_be_put_back_is_told_and_nothing_more_is_audited(place, monkeypatch):
    monkeypatch.setattr(redis_put_back, "_PATIENCE", 0.3)
    with pytest.raises(RedisNotPutBack) as raised:
        _write_and_lose(place, monkeypatch)
    assert f"redis://127.0.0.1:{place.port}/0: nobody is there" in str(raised.value)
    assert "hold something else than before: a." in str(raised.value)
    with pytest.raises(NotAudited, match="an earlier audit could not put back"), put_back():
        pass


def _write_and_lose(place, monkeypatch):
    with put_back():
        forked(writing(place, "SET a 2"), 5)
        monkeypatch.setattr(redis_put_back, "Link", Gone)


class Gone:
    def __init__(self, place):
        raise ConnectionRefusedError("nobody is there")
