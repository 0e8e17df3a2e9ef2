"""channel_layer.run(name): what waits for a worker consumer goes through the project's application."""

from __future__ import annotations

ASGI = """
    import asyncio
    import config.asgi as base
    from asgiref.sync import async_to_sync
    from channels.consumer import AsyncConsumer, SyncConsumer
    from channels.routing import ChannelNameRouter, ProtocolTypeRouter
    from shop.models import Order

    class Thumbnails(AsyncConsumer):
        made = []

        async def thumbnail_make(self, message):
            await asyncio.sleep(0)
            self.made.append(message["name"])
            if message.get("again"):
                await self.channel_layer.send("thumbnails", {"type": "thumbnail.make", "name": "again"})

        async def thumbnail_break(self, message):
            raise KeyError("colour")

        async def thumbnail_hang(self, message):
            await asyncio.Event().wait()

        async def thumbnail_answer(self, message):
            await self.send({"type": "nowhere"})

    class Printer(SyncConsumer):
        def label_print(self, message):
            Order.objects.create(reference=message["label"])
            async_to_sync(self.channel_layer.group_send)("labels", {"type": "label.printed"})

    channels = ChannelNameRouter({"thumbnails": Thumbnails.as_asgi(), "label-printer": Printer.as_asgi()})
    application = ProtocolTypeRouter({"http": base.django_application, "channel": channels})
"""


def test_worker_consumers(project):
    project.ini("asyncio_mode = auto")
    project.write("routing.py", ASGI)
    project.settings("ASGI_APPLICATION = 'routing.application'")
    result = project.test(
        """
        import pytest
        from asgiref.sync import async_to_sync
        from channels.layers import get_channel_layer
        from shop.models import Order
        from routing import Printer, Thumbnails

        @pytest.fixture(autouse=True)
        def fresh():
            Thumbnails.made.clear()

        def make(kind="make", **values):
            async_to_sync(get_channel_layer().send)("thumbnails", {"type": f"thumbnail.{kind}", **values})

        def test_sync(db, channel_layer):
            async_to_sync(channel_layer.send)("label-printer", {"type": "label.print", "label": "A"})
            async_to_sync(channel_layer.group_add)("labels", "printed")
            assert channel_layer.run("label-printer") == 1
            assert Order.objects.get().reference == "A"
            channel_layer.assert_group_sent("labels", {"type": "label.printed"})
            assert async_to_sync(channel_layer.receive)("printed") == {"type": "label.printed"}
            assert channel_layer.run("label-printer") == 0

        @pytest.mark.allow_lost("no_members")
        async def test_async_and_what_is_sent_meanwhile(db, channel_layer):
            for name in "abc":
                await channel_layer.send("thumbnails", {"type": "thumbnail.make", "name": name, "again": name == "b"})
            assert await channel_layer.arun("thumbnails") == 4
            assert Thumbnails.made == ["a", "b", "c", "again"]
            await channel_layer.send("label-printer", {"type": "label.print", "label": "B"})
            await channel_layer.send("thumbnails", {"type": "thumbnail.make", "name": "waits"})
            assert await channel_layer.arun("label-printer") == 1
            assert await Order.objects.acount() == 1
            assert await channel_layer.arun("thumbnails", Thumbnails) == 1

        def test_crash(db, channel_layer):
            make("break")
            with pytest.raises(KeyError, match="colour") as caught:
                channel_layer.run("thumbnails")
            assert caught.value.__notes__ == ["It ended Thumbnails, which handles the channel 'thumbnails'."]

        def test_misspelt_type(db, channel_layer):
            make("mke")
            with pytest.raises(ValueError, match="No handler for message type thumbnail.mke"):
                channel_layer.run("thumbnails")

        def test_no_client(db, channel_layer):
            make("answer")
            with pytest.raises(NotImplementedError, match="no client"):
                channel_layer.run("thumbnails")

        def test_hangs(db, channel_layer):
            make("hang")
            hangs = r"Thumbnails \\('thumbnails'\\) has not handled .* waits at .*routing"
            with pytest.raises(AssertionError, match=hangs):
                channel_layer.run("thumbnails", timeout=0.2)

        def test_no_such_channel(channel_layer):
            with pytest.raises(Exception) as caught:
                channel_layer.run("thumbnail")
            text = str(caught.value)
            assert "its ChannelNameRouter has 'thumbnails', 'label-printer'. Did you mean 'thumbnails'?" in text

        async def test_run_in_a_coroutine(channel_layer):
            with pytest.raises(Exception, match="Fix: await channel_layer.arun"):
                channel_layer.run("thumbnails")

        def test_another_layer_semantics():
            from pytest_backchannel import strict_channel_layers
            with strict_channel_layers("pubsub") as layers:
                assert layers["default"].run("thumbnails") == 0
        """
    )
    result.assert_outcomes(passed=9)
