"""Counts instructions between two points of a Python program that runs under valgrind's callgrind.

Callgrind counts for whole processes, unless the program itself tells it when: by the requests of callgrind.h, which are
a sequence of machine code that does nothing elsewhere. It is written out here for x86-64.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import json
import mmap
import os
import platform
import re
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

# mov rax, rdi; xor edx, edx; rol rdi, 3, 13, 61, 51; xchg rbx, rbx; mov rax, rdx; ret
CODE = bytes.fromhex("4889f8 31d2 48c1c703 48c1c70d 48c1c73d 48c1c733 4887db 4889d0 c3")
# VG_USERREQ_TOOL_BASE('C', 'T'), and the requests of callgrind.h by their place.
BASE = (ord("C") << 24) | (ord("T") << 16)
DUMP, ZERO, START, STOP = 0, 1, 4, 5
FOLDER = "BENCHMARK_COUNTS"


def available() -> bool:
    """Whether instructions can be counted here."""
    return shutil.which("valgrind") is not None and platform.machine() in ("x86_64", "AMD64")


class Counter:
    """Counts in this process: instructions under callgrind, and otherwise nanoseconds of processor time."""

    def __init__(self) -> None:
        self._folder = os.environ.get(FOLDER)
        self._counts: dict[str, int] = {}
        self._names: list[str] = []
        if self._folder is not None:
            self._memory = mmap.mmap(-1, 4096, prot=mmap.PROT_READ | mmap.PROT_WRITE | mmap.PROT_EXEC)
            self._memory.write(CODE)
            address = ctypes.addressof(ctypes.c_char.from_buffer(self._memory))
            self._call = ctypes.CFUNCTYPE(ctypes.c_ulong, ctypes.c_void_p)(address)

    def _request(self, number: int) -> None:
        arguments = (ctypes.c_ulong * 6)(BASE + number)
        self._call(ctypes.addressof(arguments))

    def begin(self) -> None:
        """Count from here on."""
        gc.collect()
        gc.disable()  # it comes when it likes, and is the allocator's cost, not the code's
        if self._folder is None:
            self._began = time.process_time_ns()
        else:
            self._request(START)
            self._request(ZERO)

    def end(self, name: str, times: int = 1) -> None:
        """Count to here: what has happened so many times is known by this name."""
        if self._folder is None:
            self._counts[name] = (time.process_time_ns() - self._began) // times
        else:
            self._request(DUMP)
            self._request(STOP)
            self._names.append(f"{times} {name}")
        gc.enable()

    def save(self) -> None:
        """Hand the counts to the process that has started this one."""
        if self._folder is None:
            print(json.dumps(self._counts))
        else:
            Path(self._folder, "names").write_text("\n".join(self._names))


def count(arguments: list[str], cwd: str | None = None) -> dict[str, int]:
    """The counts of a Python process with these arguments, by name; in nanoseconds where valgrind is missing."""
    with tempfile.TemporaryDirectory() as folder:
        env = {**os.environ, "PYTHONHASHSEED": "0", "PYTHONPATH": str(Path(__file__).parents[1])}
        command = [sys.executable, *arguments]
        if available():
            env[FOLDER] = folder
            out = f"--callgrind-out-file={folder}/counts"
            command = ["valgrind", "--tool=callgrind", "--instr-atstart=no", out, *command]
        done = subprocess.run(command, cwd=cwd, env=env, capture_output=True, text=True, check=False)
        if done.returncode:
            raise SystemExit(f"{' '.join(command)}\n{done.stdout}\n{done.stderr}")
        if not available():
            lines = [line for line in done.stdout.splitlines() if line.startswith("{")]
            found: dict[str, int] = json.loads(lines[-1])
            return found
        counts = {}
        for number, line in enumerate(Path(folder, "names").read_text().splitlines(), 1):
            times, _, name = line.partition(" ")
            total = re.search(r"^totals: (\d+)", Path(folder, f"counts.{number}").read_text(), re.MULTILINE)
            assert total is not None
            counts[name] = int(total[1]) // int(times)
        return counts


@contextlib.contextmanager
def counted(counter: Counter, name: str, times: int = 1) -> Any:
    """Count what happens in the block."""
    counter.begin()
    try:
        yield
    finally:
        counter.end(name, times)


def repeat(counter: Counter, name: str, what: Callable[[], object], times: int = 10, warm: int = 5) -> None:
    """Count one call among many, after some that are not counted."""
    for _ in range(warm):
        what()
    with counted(counter, name, times):
        for _ in range(times):
            what()
