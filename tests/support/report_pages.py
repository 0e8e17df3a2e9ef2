"""Reports for the tests of the page: one that shows all it has, and one of a large project."""

from __future__ import annotations

import time
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from questions_support import known_project, route, task

from pytest_backchannel.inventory.celery_inventory import BeatEntry
from pytest_backchannel.questions.report.gaps import gaps_of
from pytest_backchannel.questions.report.items.done import Done
from pytest_backchannel.questions.report.making import make_report
from pytest_backchannel.questions.report.model import Facet, Item, Place, Report, Step, TestRun
from pytest_backchannel.questions.report.page.rendering import render

EVIL = "<script>alert('x')</script>&\u2028\"'"
"""What somebody may call something."""
SHIP, BILL = "task:shop.tasks.ship", "task:shop.tasks.bill"

CODE = '''from celery import shared_task

@shared_task(acks_late=True, autoretry_for=(OSError,))
def ship(order_id):
    """Ship it."""
    label = print_label(order_id)
    send("order.shipped", label)


@shared_task
def bill(order_id):
    pass
'''
TESTS = """def test_ship():
    pass


class TestShop:
    async def test_bill(self):
        pass
"""

STORY = (
    Step(
        at=0,
        text="request POST /orders/",
        where=Place(file="shop/tasks.py", line=6),
        steps=(
            Step(
                at=0.01,
                text="enqueued ship(1)",
                steps=(Step(at=0.02, text="RETRY ship", times=3), Step(at=30, text="FAILURE ship", broke=True)),
            ),
            Step(at=0.5, text="group send order.1"),
        ),
    ),
    Step(at=31, text="frame received"),
)


def small_report(name: str = "ship") -> Report:
    """Tasks, routes, gaps, a baseline, and a test of each outcome."""
    beat = BeatEntry(name="nightly", task="shop.tasks.bill", schedule="300.0", options={}, seconds=300)
    known = known_project(
        tasks=[task(acks_late=True, autoretries=True), task("shop.tasks.bill"), task("shop.tasks.idle")],
        routes=[route(handlers=["room_message"])],
        beat=[beat],
    )
    facts = {
        "tests/test_shop.py::test_ship": [(SHIP, "eager", ""), (SHIP, "succeeded", "")],
        "tests/test_shop.py::TestShop::test_bill": [(BILL, "function", ""), (SHIP, "mocked", "delay")],
        "tests/test_other.py::test_retry[3]": [(SHIP, "retried", "")],
    }
    tests = [
        TestRun(id="tests/test_shop.py::test_ship", outcome="failed", message="assert 1 == 2", story=STORY),
        TestRun(id="tests/test_shop.py::TestShop::test_bill", outcome="passed"),
        TestRun(id="tests/test_other.py::test_retry[3]", outcome="passed"),
        TestRun(id="tests/test_other.py::test_broken", outcome="error", message="fixture 'x' not found"),
        TestRun(id="tests/test_other.py::test_later", outcome="skipped"),
    ]
    made = make_report(known, Done(facts), tests, baseline=["task:shop.tasks.idle#run"])
    return replace(
        made, root="", items=[replace(item, title=name) if item.key == SHIP else item for item in made.items]
    )


def evil_report() -> Report:
    """A report in which everything that is somebody's text is markup, too."""
    facet = Facet(name="run", wanted=True, why=EVIL)
    done = Facet(name=f"hook:{EVIL}", wanted=True, state="reached", tests=(f"a.py::{EVIL}",))
    item = Item(
        key=f"task:{EVIL}",
        kind="task",
        title=EVIL,
        where=Place(file=f"{EVIL}.py", line=3),
        about={"name": EVIL, "queue": EVIL, "options": {EVIL: EVIL}, "parameters": [EVIL]},
        facets={facet.name: facet, done.name: done},
    )
    story = (Step(at=0, text=EVIL, where=Place(file=EVIL, line=1), broke=True, steps=(Step(at=1, text=EVIL),)),)
    test = TestRun(id=f"a.py::{EVIL}", outcome="failed", message=EVIL, story=story)
    gaps = [replace(gap, sentence=f"{EVIL}: {EVIL}", hurts=EVIL, test=EVIL) for gap in gaps_of([item])]
    return Report(project={"settings": EVIL}, items=[item], gaps=gaps, tests=[test], not_known=[EVIL])


def large_report(tasks: int = 200, routes: int = 50, tests: int = 1000) -> Report:
    """A report of a large project, of which half is reached: each test does four things."""
    known = known_project(
        tasks=[task(f"shop.tasks.task_{n}", acks_late=n % 2 == 0, autoretries=n % 3 == 0) for n in range(tasks)],
        routes=[
            route(f"/ws/rooms/{n}/<int:room>/", f"shop.consumers.Room{n}", handlers=["room_message", "room_closed"])
            for n in range(routes)
        ],
    )
    facts = {}
    for n in range(tests):
        subject = f"task:shop.tasks.task_{n * 7 % (tasks * 3 // 4)}"
        handler = f"handler:shop.consumers.Room{n % (routes // 2)}.room_message"
        facts[f"tests/test_part_{n // 20}.py::test_number_{n}_of_them"] = [
            *((subject, what, "") for what in ("enqueued", "stepped", "succeeded", "retried" if n % 4 else "failed")),
            (f"route:/ws/rooms/{n % (routes // 2)}/<int:room>/", "connected", ""),
            (handler, "run", ""),
        ]
    runs = [
        TestRun(id=test, outcome="passed" if n % 100 else "failed", message="" if n % 100 else "assert 1", story=())
        for n, test in enumerate(facts)
    ]
    runs = [replace(run, story=STORY * 20) if run.outcome == "failed" else run for run in runs]
    return make_report(known, Done(facts), runs)


def project_folder(folder: Path) -> Path:
    """The code that the reports are about."""
    for name, text in {"shop/tasks.py": CODE, "tests/test_shop.py": TESTS}.items():
        path = folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    return folder


def main() -> None:
    """Print how large the page of a large project is, and how long it takes."""
    report = large_report()
    with TemporaryDirectory() as folder:
        root = project_folder(Path(folder))
        render(report, root)
        start = time.process_time()
        text = render(report, root)
    print(f"{len(report.items)} items, {len(report.gaps)} gaps, {len(report.tests)} tests:")
    print(f"{len(text.encode()) / 1e6:.2f} MB, rendered in {time.process_time() - start:.2f} s of processor time")


if __name__ == "__main__":
    main()
