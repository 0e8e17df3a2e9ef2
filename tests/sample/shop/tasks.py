from celery import shared_task

from .models import Order


@shared_task
def add(x, y):
    return x + y


@shared_task(bind=True, default_retry_delay=10, max_retries=3)
def confirm_order(self, order_id, notify=True):
    Order.objects.filter(pk=order_id).update(confirmed=True)
    return order_id


@shared_task
def fail(message="broken"):
    raise ValueError(message)
