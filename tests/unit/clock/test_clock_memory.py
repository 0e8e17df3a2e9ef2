"""What the clock remembers of modules, when the memory of one that is gone is used again."""

from __future__ import annotations

import subprocess
import sys

MEMORY_USED_AGAIN = """
import sys, time, types
from pytest_backchannel.clock.virtual import VirtualClock

real = [time.sleep]  # in a list: the clock replaces what a module names, also this one

def fill(module):
    module.__file__ = "/project/again.py"
    exec(compile("from time import sleep", module.__file__, "exec"), vars(module))
    return module

gone = [fill(types.ModuleType("again")) for _ in range(1000)]
names = {id(module): f"again_{number}" for number, module in enumerate(gone)}
sys.modules.update({names[id(module)]: module for module in gone})
with VirtualClock():
    assert all(module.sleep is not real[0] for module in gone)
for name in names.values():
    del sys.modules[name]
gone.clear()
with VirtualClock():
    pass  # it lets go of what is gone
made = [types.ModuleType("again")]
while id(made[-1]) not in names:
    assert len(made) < 1_000_000, "the memory of no module was used again: this shows nothing"
    made.append(types.ModuleType("again"))
again = fill(made[-1])
sys.modules[names[id(again)]] = again
with VirtualClock():
    said = "virtual" if again.sleep is not real[0] else "real"
print(f"{said}, then {'real again' if again.sleep is real[0] else 'virtual still'}")
"""


def test_a_module_in_the_memory_of_one_that_is_gone_is_searched_too():
    # In a process of its own: how soon memory is used again depends on what else the process holds.
    done = subprocess.run(
        [sys.executable, "-c", MEMORY_USED_AGAIN], capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout == "virtual, then real again\n"
