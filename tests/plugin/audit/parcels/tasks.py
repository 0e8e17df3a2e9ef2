"""Tasks that a second delivery or a death breaks, and those that look like them and are right."""

import secrets

from celery import shared_task
from django.core.mail import send_mail
from django.db import transaction
from django.db.models import F
from django.utils import timezone

from . import carrier
from .models import Label, Parcel


def tell(parcel):
    send_mail("On its way", "Your parcel", None, [parcel.address])


# --------------------------------------------------------------------- broken


@shared_task
def tells_and_then_looks(pk):
    parcel = Parcel.objects.get(pk=pk)
    tell(parcel)
    if parcel.told_at is None:
        parcel.told_at = timezone.now()
        parcel.save()


@shared_task(acks_late=True)
def tells_and_then_marks(pk):
    parcel = Parcel.objects.get(pk=pk)
    if parcel.told_at is None:
        tell(parcel)
        parcel.told_at = timezone.now()
        parcel.save()


@shared_task(acks_late=True, reject_on_worker_lost=True)
def marks_and_then_tells(pk):
    parcel = Parcel.objects.get(pk=pk)
    if parcel.told_at is None:
        parcel.told_at = timezone.now()
        parcel.save()
        tell(parcel)


@shared_task
def tells_on_commit(pk):
    with transaction.atomic():
        parcel = Parcel.objects.select_for_update().get(pk=pk)
        if parcel.told_at is not None:
            return
        parcel.told_at = timezone.now()
        parcel.save()
        transaction.on_commit(lambda: tell(parcel))


@shared_task
def counts_in_python(pk):
    parcel = Parcel.objects.get(pk=pk)
    parcel.tries = parcel.tries + 1
    parcel.save()


@shared_task
def counts_in_sql(pk):
    Parcel.objects.filter(pk=pk).update(tries=F("tries") + 1)


@shared_task
def prints_a_label(pk):
    Label.objects.create(parcel_id=pk, text="fragile")


@shared_task
def books_and_then_marks(pk):
    parcel = Parcel.objects.get(pk=pk)
    if parcel.state != "booked":
        carrier.book(pk, 7)
        parcel.state = "booked"
        parcel.save(update_fields=["state"])


@shared_task
def two_labels(pk):
    if not Label.objects.filter(parcel_id=pk).exists():
        Label.objects.create(parcel_id=pk, text="from")
        Label.objects.create(parcel_id=pk, text="to")


@shared_task
def cleans_up_when_it_fails(pk):
    parcel = Parcel.objects.get(pk=pk)
    try:
        tell(parcel)
        parcel.state = "told"
        parcel.save(update_fields=["state"])
    except BaseException:
        Parcel.objects.filter(pk=pk).update(state="failed")
        raise


@shared_task
def enqueues_a_counter():
    for parcel in Parcel.objects.order_by("pk"):
        counts_in_sql.delay(parcel.pk)


@shared_task
def drops_the_oldest():
    Parcel.objects.order_by("pk").first().delete()


@shared_task
def makes_a_token(pk):
    Parcel.objects.filter(pk=pk).update(token=secrets.token_hex(8))


# ------------------------------------------------------------------ and right


@shared_task
def finds_or_prints(pk):
    Label.objects.get_or_create(parcel_id=pk, text="fragile")


@shared_task
def books_with_a_key(pk):
    parcel = Parcel.objects.get(pk=pk)
    if parcel.state != "booked":
        carrier.book(pk, 7, request_key=f"parcel-{pk}")
        parcel.state = "booked"
        parcel.save(update_fields=["state"])


@shared_task
def two_labels_or_none(pk):
    with transaction.atomic():
        if not Label.objects.filter(parcel_id=pk).exists():
            Label.objects.create(parcel_id=pk, text="from")
            Label.objects.create(parcel_id=pk, text="to")


@shared_task
def sets_the_state(pk):
    parcel = Parcel.objects.get(pk=pk)
    parcel.state = "sorted"
    parcel.save()


@shared_task
def notes_the_time(pk):
    Parcel.objects.filter(pk=pk).update(looked_at=timezone.now())


@shared_task
def enqueues_what_is_right():
    for parcel in Parcel.objects.order_by("pk"):
        notes_the_time.delay(parcel.pk)
