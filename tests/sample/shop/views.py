from django.db import transaction
from django.http import HttpResponse

from .tasks import confirm_order


def confirm(request, order_id):
    with transaction.atomic():
        transaction.on_commit(lambda: confirm_order.delay(order_id))
    return HttpResponse("ok")
