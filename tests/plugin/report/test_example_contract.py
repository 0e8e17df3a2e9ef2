"""The example's contract, changes of the example that break it in both directions, and harmless ones.

``example/backchannel-contract.json`` is recorded by the example's suite, without its slow job:
``pytest -m "not celery_integration" --backchannel-contract=backchannel-contract.json``.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

EXAMPLE = Path(__file__).parents[3] / "example"
FILE = "backchannel-contract.json"

# What the example has too little of to break a dozen things: more tasks, who enqueues them, and another route.
TASKS = '''

@shared_task
def remind(invoice_id):
    """Is given another argument."""


@shared_task
def archive(invoice_id, reason="old"):
    """Loses its default."""


@shared_task
def export(invoice_id, form):
    """Loses an argument."""


@shared_task(bind=True)
def label(self, *, colour):
    """Has its keyword renamed."""


@shared_task(serializer="msgpack")
def scan(invoice_id):
    """Is serialised otherwise."""


@shared_task
def copy_invoice(invoice_id):
    """Is renamed."""


@shared_task(queue="mail")
def post(invoice_id):
    """Goes to another queue."""


@shared_task
def purge():
    """Is taken away, and its beat entry stays."""


@shared_task(typing=False)
def unchecked(invoice_id):
    """Is not checked where it is enqueued; its worker fails all the same."""
'''
SENDERS = '''"""Who enqueues them."""

from . import tasks


def send_all(invoice_id):
    tasks.remind.delay(invoice_id)
    tasks.archive.delay(invoice_id)
    tasks.export.delay(invoice_id, "pdf")
    tasks.label.delay(colour="red")
    tasks.scan.delay(invoice_id)
    tasks.copy_invoice.delay(invoice_id)
    tasks.post.delay(invoice_id)
    tasks.unchecked.delay(invoice_id)
'''
BEAT = """
CELERY_BEAT_SCHEDULE["purge"] = {"task": "billing.tasks.purge", "schedule": 60.0}
CELERY_ACCEPT_CONTENT = ["json", "msgpack"]
"""
ROUTE = '    path("ws/status/<int:invoice_id>/", InvoiceStatusConsumer.as_asgi()),\n]'

# file: what stands there, what is to stand there.
BREAKING = {
    "billing/tasks.py": [
        ("def remind(invoice_id):", "def remind(invoice_id, tone):"),
        ('def archive(invoice_id, reason="old"):', "def archive(invoice_id, reason):"),
        ("def export(invoice_id, form):", "def export(invoice_id):"),
        ("def label(self, *, colour):", "def label(self, *, color):"),
        ('serializer="msgpack"', 'serializer="pickle"'),
        ("def copy_invoice(", "def duplicate("),
        ('@shared_task(queue="mail")', '@shared_task(queue="bulk")'),
        ("def purge():", "def purge_all():"),
        ("def unchecked(invoice_id):", "def unchecked(invoice_id, force):"),
    ],
    "billing/senders.py": [
        ("remind.delay(invoice_id)", 'remind.delay(invoice_id, "kind")'),
        ("archive.delay(invoice_id)", 'archive.delay(invoice_id, "old")'),
        ('export.delay(invoice_id, "pdf")', "export.delay(invoice_id)"),
        ("colour=", "color="),
        ("copy_invoice", "duplicate"),
        ("unchecked.delay(invoice_id)", "unchecked.delay(invoice_id, True)"),
    ],
    "config/settings/base.py": [('["json", "msgpack"]', '["json", "pickle"]')],
    "config/routing.py": [(ROUTE, "]")],
    "billing/consumers.py": [("def invoice_status(", "def invoice_state(")],
    "billing/live.py": [('"invoice.status", "status"', '"invoice.state", "status"')],
    "chat/consumers.py": [
        ('"id": message.id, "text": text,', '"id": message.id, "body": text,'),
        ('self.frame(event["text"],', 'self.frame(event["body"],'),
    ],
    "pyproject.toml": [('["celery", "mail"]', '["celery"]')],
}
HARMLESS = {
    "billing/tasks.py": [
        ("def remind(invoice_id):", 'def remind(number, tone="kind"):'),
        ("def export(invoice_id, form):", "def export(invoice_id, form, *more, **options):"),
        (
            '"""Is renamed."""',
            '"""Is not renamed.\n\n    Its docstring is longer.\n    """\n    number = invoice_id\n    del number',
        ),
        ("def purge():", "def fresh(a, b):\n    pass\n\n\n@shared_task\ndef purge():"),
        ("def unchecked(invoice_id):", "def unchecked(invoice_id=None):"),
        ("def send_invoice(invoice_id):", "# Moved lines.\n\n\ndef send_invoice(invoice_id):"),
        ("    day = date.fromisoformat(month)", "    today = date.fromisoformat(month)"),
        ("first = day.replace", "day = today\n    first = day.replace"),
    ],
    "config/routing.py": [
        ("<int:invoice_id>/", "<int:number>/"),
        ("websocket_urlpatterns = [", 'websocket_urlpatterns = [\n    path("ws/more/", ChatConsumer.as_asgi()),'),
    ],
    "billing/consumers.py": [
        (
            'async def invoice_status(self, event):\n        await self.send_json({"status": event["status"]})',
            "async def invoice_more(self, event):\n        pass\n\n    async def invoice_status(self, message):\n"
            '        told = message["status"]\n        await self.send_json({"status": told})',
        )
    ],
    "config/settings/base.py": [('["json", "msgpack"]', '["msgpack", "json", "yaml"]')],
    "pyproject.toml": [('["celery", "mail"]', '["more", "mail", "celery"]')],
}


def clean_environment():
    names = ("PYTEST_", "GITHUB_", "GIT_")
    env = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    env.pop("DJANGO_SETTINGS_MODULE", None)
    return env


def command(folder, *arguments):
    line = [sys.executable, "-m", "pytest_backchannel.cli", "contract", *arguments]
    return subprocess.run(line, cwd=folder, env=clean_environment(), capture_output=True, text=True, check=False)


def changed(folder, changes):
    for name, replacements in changes.items():
        text = (folder / name).read_text()
        for before, after in replacements:
            assert before in text, (name, before)
            text = text.replace(before, after)
        (folder / name).write_text(text)
    done = command(folder, "record")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.fixture(scope="module")
def base(tmp_path_factory):
    """The example with more to break, and its contract."""
    folder = tmp_path_factory.mktemp("base") / "example"
    shutil.copytree(EXAMPLE, folder, ignore=shutil.ignore_patterns("__pycache__", ".*"))
    (folder / "billing" / "senders.py").write_text(SENDERS)
    for name, more in (("billing/tasks.py", TASKS), ("config/settings/base.py", BEAT)):
        (folder / name).write_text((folder / name).read_text() + more)
    changed(folder, {"config/routing.py": [("\n]", f"\n{ROUTE}")]})
    return folder


def breaks(base, tmp_path, changes):
    folder = tmp_path / "example"
    shutil.copytree(base, folder)
    changed(folder, changes)
    done = command(folder, "check", "--against", str(base / FILE), "--format", "json")
    found = json.loads(done.stdout)["breaks"]
    assert done.returncode == (1 if found else 0), done.stderr
    return {(one["direction"], one["kind"], one["subject"].removeprefix("billing.tasks.")): one for one in found}


def test_seeded_breaks_are_found_in_both_directions(base, tmp_path):
    found = breaks(base, tmp_path, BREAKING)
    assert sorted(found) == sorted(
        [
            ("waiting", "arguments", "remind"),
            ("waiting", "arguments", "archive"),
            ("waiting", "arguments", "export"),
            ("waiting", "arguments", "label"),
            ("waiting", "arguments", "unchecked"),
            ("waiting", "serializer", "scan"),
            ("waiting", "task", "copy_invoice"),
            ("waiting", "task", "purge"),
            ("waiting", "queue", "post"),
            ("waiting", "queue", "send_invoice_email"),
            ("waiting", "handler", "invoice.status"),
            ("waiting", "keys", "chat.message"),
            ("waiting", "route", "/ws/status/<int:invoice_id>/"),
            ("rolling", "arguments", "remind"),
            ("rolling", "arguments", "export"),
            ("rolling", "arguments", "label"),
            ("rolling", "arguments", "unchecked"),
            ("rolling", "serializer", "scan"),
            ("rolling", "task", "duplicate"),
            ("rolling", "queue", "post"),
            ("rolling", "handler", "invoice.state"),
            ("rolling", "keys", "chat.message"),
        ]
    )
    assert found["waiting", "task", "purge"]["beat"] == "purge"
    remind = found["waiting", "arguments", "remind"]
    line = (tmp_path / "example" / "billing" / "tasks.py").read_text().splitlines()[remind["line"] - 1]
    assert (remind["file"], line) == ("billing/tasks.py", "def remind(invoice_id, tone):")
    assert remind["detail"] == "missing a required argument: 'tone'"
    assert "default" in remind["ways_out"][0]


# Of each break: what the line says that it names.
LINES = {
    ("waiting", "arguments", "remind"): "def remind(invoice_id, tone):",
    ("waiting", "arguments", "archive"): "def archive(invoice_id, reason):",
    ("waiting", "arguments", "export"): "def export(invoice_id):",
    ("waiting", "arguments", "label"): "def label(self, *, color):",
    ("waiting", "arguments", "unchecked"): "def unchecked(invoice_id, force):",
    ("waiting", "serializer", "scan"): 'CELERY_ACCEPT_CONTENT = ["json", "pickle"]',
    ("waiting", "task", "copy_invoice"): "def duplicate(invoice_id):",
    ("waiting", "task", "purge"): 'CELERY_BEAT_SCHEDULE["purge"] =',
    ("waiting", "queue", "post"): "def post(invoice_id):",
    ("waiting", "queue", "send_invoice_email"): "CELERY_TASK_ROUTES =",
    ("waiting", "handler", "invoice.status"): "async def invoice_state(self, event):",
    ("waiting", "keys", "chat.message"): "async def chat_message(self, event):",
    ("waiting", "route", "/ws/status/<int:invoice_id>/"): 'path("ws/invoices/<int:invoice_id>/"',
    ("rolling", "arguments", "remind"): "def remind(invoice_id, tone):",
    ("rolling", "arguments", "export"): "def export(invoice_id):",
    ("rolling", "arguments", "label"): "def label(self, *, color):",
    ("rolling", "arguments", "unchecked"): "def unchecked(invoice_id, force):",
    ("rolling", "serializer", "scan"): 'CELERY_ACCEPT_CONTENT = ["json", "pickle"]',
    ("rolling", "task", "duplicate"): "def duplicate(invoice_id):",
    ("rolling", "queue", "post"): "def post(invoice_id):",
    ("rolling", "handler", "invoice.state"): '"type": "invoice.state"',
    ("rolling", "keys", "chat.message"): "group_send(self.room, event)",
}


def test_each_break_names_a_line_and_a_way_out(base, tmp_path):
    found = breaks(base, tmp_path, BREAKING)
    assert found.keys() == LINES.keys()
    for key, one in found.items():
        line = (tmp_path / "example" / one["file"]).read_text().splitlines()[one["line"] - 1]
        assert LINES[key] in line, (key, line)
        assert one["ways_out"], key


def test_harmless_changes_break_nothing(base, tmp_path):
    assert breaks(base, tmp_path, HARMLESS) == {}


def test_the_examples_contract_is_up_to_date(tmp_path):
    target = tmp_path / FILE
    line = [sys.executable, "-m", "pytest", "-q", "-m", "not celery_integration", "-W", "ignore"]
    line += ["-p", "no:randomly", "-p", "no:faker", "-p", "no:valkey", f"--backchannel-contract={target}"]
    done = subprocess.run(line, cwd=EXAMPLE, env=clean_environment(), capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr
    assert target.read_text() == (EXAMPLE / FILE).read_text()
