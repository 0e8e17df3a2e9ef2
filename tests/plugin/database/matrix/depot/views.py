import asyncio

from asgiref.sync import sync_to_async
from django.db import close_old_connections, transaction
from django.http import HttpResponse, JsonResponse, StreamingHttpResponse

from .models import Item


async def add_async(request, name):
    item = await Item.objects.acreate(name=name)
    return JsonResponse({"id": item.pk, "count": await Item.objects.acount()})


def add_sync(request, name):
    committed = []
    with transaction.atomic():
        item = Item.objects.create(name=name)
        transaction.on_commit(lambda: committed.append(item.pk))
        early = list(committed)
    return JsonResponse({"id": item.pk, "early": early, "committed": committed})


async def names(request):
    return HttpResponse(",".join([item.name async for item in Item.objects.order_by("name")]))


async def stream(request):
    async def parts():
        async for item in Item.objects.order_by("name"):
            await asyncio.sleep(0)
            yield item.name + ";"

    return StreamingHttpResponse(parts())


async def closing(request):
    await Item.objects.acreate(name="before")
    await sync_to_async(close_old_connections)()
    await Item.objects.acreate(name="after")
    return HttpResponse(str(await Item.objects.acount()))
