"""What a body does in Redis by redis-py, or by valkey-py, its twin: each write is an effect.

Before it goes to a real server, what the keys hold is noted for the parent, which puts it back (:mod:`.redis_guard`). A
fake's memory is copied with the process, and needs nothing.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from ..effects.effect_log import note, running
from ..shadows import outside, told_parent
from .redis_commands import SCRIPTS, changed, effect_of, name_of, written_keys
from .redis_guard import RedisGuard, check_cached
from .redis_link import Place, commands_of
from .redis_others import name_of_end
from .redis_scripts import keys_given

_LIBRARIES = (("redis", "Redis"), ("valkey", "Valkey"))


def install() -> None:
    """Watch the clients of this process that are loaded, from now on."""
    for library, client in _LIBRARIES:
        connections: Any = sys.modules.get(f"{library}.connection")
        clients: Any = sys.modules.get(f"{library}.client")
        core: Any = sys.modules.get(f"{library}.commands.core")
        if connections is not None and clients is not None and core is not None:
            guard = RedisGuard()
            _watch_connections(connections, guard)
            _watch_scripts(core, guard)
            _watch_clients(getattr(clients, client), clients.Pipeline, guard)


# --- private API of redis-py, seen on 5–8 (valkey-py 6): AbstractConnection.send_packed_command, read_response and
# --- can_read, pid and _sock; Connection._connect; the client's execute_command, Pipeline.execute, command_stack and
# --- immediate_execute_command; Script.__call__. tests/plugin/audit/test_audited_redis.py fails where it is otherwise.


def _watch_connections(module: Any, guard: RedisGuard) -> None:
    owner = module.AbstractConnection
    plain = (module.Connection, module.UnixDomainSocketConnection)
    send, read, can_read = owner.send_packed_command, owner.read_response, owner.can_read

    def send_packed_command(connection: Any, command: Any, *args: Any, **kwargs: Any) -> Any:
        if not _is_fake(connection):
            _make_own(connection)
            if not outside.is_reading():
                _before(connection, command, plain, guard)
        return send(connection, command, *args, **kwargs)

    def checked(before: Any) -> Any:
        def reads(connection: Any, *args: Any, **kwargs: Any) -> Any:
            if not _is_fake(connection) and _is_parents(connection):
                told_parent.refuse("it reads from a connection to Redis that the test has opened")
            return before(connection, *args, **kwargs)

        return reads

    owner.send_packed_command = send_packed_command
    owner.read_response, owner.can_read = checked(read), checked(can_read)
    for kind in plain:
        kind._connect = _allowed(kind._connect, plain)


def _allowed(before: Any, plain: tuple[type, ...]) -> Any:
    def _connect(connection: Any) -> Any:
        if _is_fake(connection) or outside.is_reading():
            return before(connection)
        _check_kind(connection, plain)
        with outside.reading():
            return before(connection)

    return _connect


def _before(connection: Any, command: Any, plain: tuple[type, ...], guard: RedisGuard) -> None:
    _check_kind(connection, plain)
    try:
        commands = commands_of(_joined(command))
    except ValueError:
        told_parent.refuse("it talks to Redis in a way that can't be read")
    guard.before(_place(connection), commands, _address(connection))


def _joined(command: Any) -> bytes:
    if isinstance(command, str):
        return command.encode()
    return command if isinstance(command, bytes) else b"".join(map(bytes, command))


def _check_kind(connection: Any, plain: tuple[type, ...]) -> None:
    """No TLS, no sentinel, no cluster (whose connections have a function of it), no class of the project's."""
    if type(connection) not in plain or getattr(connection, "redis_connect_func", None) is not None:
        told_parent.refuse(f"it talks to Redis by a {type(connection).__name__} that the audit can't have, too")


def _place(connection: Any) -> Place:
    provider = getattr(connection, "credential_provider", None)
    if provider is not None:
        given = tuple(provider.get_credentials())
        username, password = given if len(given) == 2 else ("", given[0])
    else:
        username, password = connection.username, connection.password
    return Place(
        host=str(getattr(connection, "host", "") or ""),
        port=int(getattr(connection, "port", 0) or 0),
        path=str(getattr(connection, "path", "") or ""),
        database=int(connection.db or 0),
        username=str(username or ""),
        password=str(password or ""),
    )


def _address(connection: Any) -> str:
    """The connection's own end, as the server names it; empty for that of a path, which has no name."""
    if connection._sock is None:
        connection.connect()
    own: Any = connection._sock
    return name_of_end(own.getsockname())


def _is_fake(connection: Any) -> bool:
    """Whether nothing is behind it but this process."""
    return any(kind.__module__.partition(".")[0] == "fakeredis" for kind in type(connection).__mro__)


def _is_parents(connection: Any) -> bool:
    return connection.pid != os.getpid() and connection._sock is not None


def _make_own(connection: Any) -> None:
    """A pool begins anew in a fork by itself; a connection that is held goes on with a socket of its own."""
    if _is_parents(connection):
        connection.disconnect()  # in a fork that closes this end alone
    connection.pid = os.getpid()


def _watch_scripts(core: Any, guard: RedisGuard) -> None:
    """A script is called by its digest, and the server does not give its text."""
    before = core.Script.__call__

    def call(script: Any, *args: Any, **kwargs: Any) -> Any:
        guard.learn(script.script)
        return before(script, *args, **kwargs)

    core.Script.__call__ = call


def _watch_clients(client: Any, pipeline: Any, guard: RedisGuard) -> None:
    execute, immediate, all_of = client.execute_command, pipeline.immediate_execute_command, pipeline.execute

    def noted(before: Any) -> Any:
        def execute_command(self: Any, *args: Any, **options: Any) -> Any:
            words = _checked(self, args)
            result = before(self, *args, **options)
            _note([(words, result)], guard)
            return result

        return execute_command

    def execute_all(self: Any, *args: Any, **kwargs: Any) -> Any:
        sent = [_checked(self, entry[0]) for entry in self.command_stack]
        results = all_of(self, *args, **kwargs)
        _note(zip(sent, results, strict=False), guard)
        return results

    client.execute_command = noted(execute)
    pipeline.immediate_execute_command = noted(immediate)
    pipeline.execute = execute_all


def _checked(client: Any, args: Sequence[Any]) -> list[bytes]:
    """The words of a command that may go on."""
    encode = client.get_encoder().encode
    words = [*str(args[0]).encode().split(), *(bytes(encode(value)) for value in args[1:])]
    if not outside.is_reading():
        if getattr(client.connection_pool, "cache", None) is not None:
            told_parent.refuse("it talks to Redis by a client that keeps answers, as the test's own does")
        check_cached(words)
    return words


# --- end of private API


def _note(done: Iterable[tuple[list[bytes], Any]], guard: RedisGuard) -> None:
    """One effect of what was sent at once: no death comes in between."""
    if running() is None:
        return
    labels: list[str] = []
    names: list[str] = []
    for words, reply in done:
        found = None if isinstance(reply, Exception) else _effect(words, reply, guard)
        if found is not None:
            labels.append(found[0])
            names += found[1]
    if labels:
        more = f" and {len(labels) - 3} more" if len(labels) > 3 else ""
        note("cache", f"redis {', '.join(labels[:3])}{more}", of=effect_of(names))


def _effect(words: list[bytes], reply: Any, guard: RedisGuard) -> tuple[str, list[str]] | None:
    """Its label and the names of its commands; None where it has changed nothing."""
    name = name_of(words)
    if name in SCRIPTS:
        ran = guard.script_run()
        if (not ran.has_changed()) if ran is not None else not reply:
            return None
        return _label("EVAL", keys_given(words) or []), guard.names_of_script(words) or ["EVAL"]
    keys = written_keys(words)
    if not keys or not changed(words, reply):
        return None
    return _label(name, keys), [name]


def _label(name: str, keys: Sequence[bytes]) -> str:
    shown = " ".join(key.decode("utf-8", "backslashreplace") for key in keys[:3])
    return f"{name} {shown}" + (f" and {len(keys) - 3} more keys" if len(keys) > 3 else "")
