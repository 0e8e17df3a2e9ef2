"""What the commands of Redis do: which read, and which keys the others write. One that is not here is refused.

The table is ours, and not the server's: what is not known well enough to be put back is not to be let through by a
server that knows more.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

Words = Sequence[bytes]


class Keys(NamedTuple):
    """Which words of a command are the keys that it writes.

    Attributes:
        first: the first one; the command's own name is word 0.
        last: the last one; negative from the end.
        step: from one to the next.
    """

    first: int
    last: int
    step: int = 1

    def among(self, words: Words) -> list[bytes]:
        """The keys of a command."""
        end = len(words) + self.last if self.last < 0 else self.last
        return list(words[self.first : end + 1 : self.step])


ONE, ALL, PAIRS, TWO, SECOND = Keys(1, 1), Keys(1, -1), Keys(1, -1, 2), Keys(1, 2), Keys(2, 2)


def _names(text: str) -> frozenset[str]:
    return frozenset(text.split())


_READS = _names(
    """
    GET MGET EXISTS TTL PTTL EXPIRETIME PEXPIRETIME TYPE STRLEN GETRANGE SUBSTR GETBIT BITCOUNT BITPOS BITFIELD_RO LCS
    HGET HMGET HGETALL HKEYS HVALS HLEN HEXISTS HSTRLEN HSCAN HRANDFIELD HTTL HPTTL HEXPIRETIME HPEXPIRETIME
    LLEN LRANGE LINDEX LPOS SISMEMBER SMISMEMBER SMEMBERS SCARD SRANDMEMBER SINTER SUNION SDIFF SINTERCARD SSCAN
    ZRANGE ZREVRANGE ZRANGEBYSCORE ZREVRANGEBYSCORE ZRANGEBYLEX ZREVRANGEBYLEX ZRANK ZREVRANK ZSCORE ZMSCORE ZCARD
    ZCOUNT ZLEXCOUNT ZSCAN ZRANDMEMBER ZUNION ZINTER ZDIFF ZINTERCARD XLEN XRANGE XREVRANGE XINFO XPENDING
    GEOPOS GEODIST GEOHASH GEOSEARCH GEORADIUS_RO GEORADIUSBYMEMBER_RO SORT_RO EVAL_RO EVALSHA_RO
    KEYS SCAN RANDOMKEY DBSIZE DUMP OBJECT TOUCH PING ECHO TIME INFO LASTSAVE COMMAND ROLE LOLWUT
    AUTH HELLO READONLY READWRITE WATCH UNWATCH MULTI EXEC DISCARD QUIT
    """
)
# Of a command with two words: which second ones change nothing that outlives the connection. SCRIPT LOAD leaves a
# text in a cache that the server may empty at any time: redis-py itself loads what is not there.
_SECOND_WORDS = {
    "CLIENT": _names("SETINFO SETNAME GETNAME ID INFO LIST TRACKING CACHING NO-EVICT NO-TOUCH MAINT_NOTIFICATIONS"),
    "CONFIG": _names("GET"),
    "MEMORY": _names("USAGE"),
    "SCRIPT": _names("LOAD EXISTS"),
    "ACL": _names("WHOAMI"),
}
# All keys of the server, and so those of a cache, too.
LISTING = _names("KEYS SCAN RANDOMKEY DBSIZE")
SCRIPTS = _names("EVAL EVALSHA")
# Whose answer says how many were changed, or whether one was.
_COUNTED = {
    ONE: """
        SETNX HSETNX EXPIRE PEXPIRE EXPIREAT PEXPIREAT PERSIST HDEL SADD SREM ZREM LREM ZREMRANGEBYRANK
        ZREMRANGEBYSCORE ZREMRANGEBYLEX XDEL XTRIM PFADD LPUSHX RPUSHX LINSERT
    """,
    ALL: "DEL UNLINK",
    PAIRS: "MSETNX",
    TWO: "SMOVE RENAMENX COPY",
}
# Whose answer is what was taken, or nothing.
_TAKEN = {ONE: "LPOP RPOP SPOP ZPOPMIN ZPOPMAX GETDEL", TWO: "RPOPLPUSH LMOVE"}
_OTHERS = {
    ONE: """
        SET SETEX PSETEX GETSET GETEX APPEND SETRANGE SETBIT BITFIELD INCR INCRBY INCRBYFLOAT DECR DECRBY HSET HMSET
        HINCRBY HINCRBYFLOAT LPUSH RPUSH LSET LTRIM ZADD ZINCRBY XADD GEOADD SINTERSTORE SUNIONSTORE SDIFFSTORE
        ZUNIONSTORE ZINTERSTORE ZDIFFSTORE ZRANGESTORE GEOSEARCHSTORE PFMERGE
    """,
    ALL: "PFCOUNT",
    PAIRS: "MSET",
    TWO: "RENAME",
    SECOND: "BITOP",
}
WRITES: dict[str, Keys] = {
    name: keys for table in (_COUNTED, _TAKEN, _OTHERS) for keys, names in table.items() for name in _names(names)
}
_TELLING = frozenset(name for table in (_COUNTED, _TAKEN) for names in table.values() for name in _names(names))
# Once more is another number, or another item.
_ADDING = _names(
    """
    INCR INCRBY INCRBYFLOAT DECR DECRBY HINCRBY HINCRBYFLOAT ZINCRBY APPEND LPUSH RPUSH LPUSHX RPUSHX LINSERT XADD
    LPOP RPOP SPOP ZPOPMIN ZPOPMAX RPOPLPUSH LMOVE
    """
)


def name_of(words: Words) -> str:
    """The name of a command."""
    return words[0].decode("ascii", "replace").upper() if words else ""


def reads(words: Words) -> bool:
    """Whether a command is known to change nothing."""
    name = name_of(words)
    second = _SECOND_WORDS.get(name)
    return name in _READS if second is None else name_of(words[1:]) in second


def written_keys(words: Words) -> list[bytes] | None:
    """The keys that a command writes; None where it is not known to be one that only writes these.

    A script is none of them: see :mod:`.redis_scripts`.
    """
    name = name_of(words)
    if name not in WRITES or (name == "COPY" and b"DB" in [word.upper() for word in words[3:]]):
        return None
    return WRITES[name].among(words)


def changed(words: Words, reply: Any) -> bool:
    """Whether a command that writes has changed something, as far as its answer tells.

    Args:
        words: the command.
        reply: what redis-py gives back for it.
    """
    name = name_of(words)
    if name == "PFCOUNT" or (name == "GETEX" and len(words) == 2):
        return False
    if name == "SET":
        options = {word.upper() for word in words[3:]}
        return bool(reply) or not options & {b"NX", b"XX"} or b"GET" in options
    if name in _TELLING:
        return bool(reply) and not (isinstance(reply, int) and reply < 0)
    return True


def adds_up(of: str) -> bool:
    """Whether an effect in Redis leaves something else when it happens once more.

    Args:
        of: what :func:`effect_of` says of it.
    """
    library, _, names = of.partition(" ")
    return library == "redis" and not _ADDING.isdisjoint(names.split(","))


def effect_of(names: Sequence[str]) -> str:
    """What an effect is about, of the names of its commands."""
    return "redis " + ",".join(sorted(set(names)))
