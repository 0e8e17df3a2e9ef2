"""backchannel check --fix: what it writes, what it leaves alone, and that it can be run again."""

from __future__ import annotations

import pytest

from pytest_backchannel.checks.fixing.text_edits import TextEdit, applied
from pytest_backchannel.cli import main

TASK = "from celery import shared_task\n\n\n@shared_task(bind=True)\ndef send(self, pk):\n"
VIEW = "from django.db import transaction\n\n\ndef buy(orders):\n    for order in orders:\n        key = order.pk\n"
CONSUMER = (
    "from asgiref.sync import async_to_sync\nfrom channels.generic.websocket import AsyncWebsocketConsumer\n"
    "from .models import Room\n\n\nclass Chat(AsyncWebsocketConsumer):\n    async def receive(self, text_data=None):\n"
)


@pytest.fixture
def fix(tmp_path, monkeypatch, capsys):
    """Write a file, mend it twice, and give its text."""

    def fix(text, *arguments):
        (tmp_path / "shop.py").write_bytes(text if isinstance(text, bytes) else text.encode())
        monkeypatch.chdir(tmp_path)
        main(["check", "--static", "--fix", *arguments])
        once = (tmp_path / "shop.py").read_bytes()
        first = capsys.readouterr()
        main(["check", "--static", "--fix", *arguments])
        assert (tmp_path / "shop.py").read_bytes() == once
        assert "fixed " not in capsys.readouterr().err
        fix.said = first.err
        return once if isinstance(text, bytes) else once.decode()

    return fix


@pytest.mark.parametrize(
    ("head", "before", "after"),
    [
        (
            TASK,
            "    self.retry(\n        countdown=60,  # a minute\n    )\n",
            "    raise self.retry(\n        countdown=60,  # a minute\n    )\n",
        ),
        (TASK, "    if pk: self.retry()\n", "    if pk: raise self.retry()\n"),
        (
            VIEW,
            "        transaction.on_commit(lambda: send.delay(order.pk,  key))  # later\n",
            "        transaction.on_commit(lambda key=key, order=order: send.delay(order.pk,  key))  # later\n",
        ),
        (CONSUMER, "        room = Room.objects.get(pk=1)\n", "        room = await Room.objects.aget(pk=1)\n"),
        (
            CONSUMER,
            "        x = Room.objects.get(pk=1).name\n",
            "        x = (await Room.objects.aget(pk=1)).name\n",
        ),
        (
            CONSUMER,
            '        await self.send("é" + str(Room.objects.filter(open=True).count()))\n',
            '        await self.send("é" + str((await Room.objects.filter(open=True).acount())))\n',
        ),
        (
            CONSUMER,
            "        for room in Room.objects.filter(open=True):\n            print(room)\n",
            "        async for room in Room.objects.filter(open=True):\n            print(room)\n",
        ),
        (CONSUMER, "        async_to_sync(self.work)(1)\n", "        await self.work(1)\n"),
        (CONSUMER, "        x = 1 + async_to_sync(self.work)()\n", "        x = 1 + (await self.work())\n"),
    ],
)
def test_it_is_mended(fix, head, before, after):
    assert fix(head + before) == head + after
    assert "fixed shop.py:" in fix.said


@pytest.mark.parametrize(
    "text",
    [
        TASK + "    self.retry()\n    note(pk)\n",
        TASK + "    self.retry()  # noqa: BC313\n",
        VIEW + "        def later():\n            send.delay(key)\n\n        transaction.on_commit(later)\n",
        CONSUMER + "        rooms = [Room.objects.get(pk=one) for one in text_data]\n",
        CONSUMER + "        async_to_sync(lambda: self.work())()\n",
        CONSUMER + '        await self.send(f"""\n    {Room.objects.count()} rooms""")\n',
        "\ufeff" + TASK + "    self.retry()\n",
    ],
)
def test_what_is_not_safe_is_left_alone(fix, text):
    assert fix(text) == text


def test_line_ends_stay(fix):
    text = (TASK + "    self.retry()\n").replace("\n", "\r\n").encode()
    assert fix(text) == text.replace(b"self.retry", b"raise self.retry")


def test_a_file_in_another_encoding_is_left_alone(fix):
    text = b"# -*- coding: latin-1 -*-\n" + TASK.encode() + b"    x = '\xe9'; self.retry()\n"
    assert fix(text) == text


def test_two_in_one_file(fix):
    text = CONSUMER + "        Room.objects.create()\n        Room.objects.create()\n"
    assert fix(text).count("await Room.objects.acreate()") == 2


def test_only_what_was_chosen_is_mended(fix):
    text = TASK + "    self.retry()\n"
    assert fix(text, "--ignore", "BC313") == text


def test_an_edit_that_makes_no_python_is_not_made():
    edit = TextEdit(start=(1, 0), end=(1, 0), text="(")
    assert applied(b"x = 1\n", [[edit]]) == (b"x = 1\n", [False])


def test_of_edits_that_meet_the_first_is_made():
    one, two = TextEdit(start=(1, 4), end=(1, 5), text="2"), TextEdit(start=(1, 4), end=(1, 5), text="3")
    assert applied(b"x = 1\n", [[one], [two]]) == (b"x = 2\n", [True, False])
