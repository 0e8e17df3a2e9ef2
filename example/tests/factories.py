"""Factories of factory_boy, with `acreate` for async tests."""

import factory
from asgiref.sync import sync_to_async
from billing.models import Invoice, InvoiceLine
from chat.models import Message
from django.contrib.auth import get_user_model


class AsyncModelFactory(factory.django.DjangoModelFactory):
    class Meta:
        abstract = True

    @classmethod
    async def acreate(cls, **kwargs):
        # The factory reads and writes through the synchronous ORM: it runs where that is allowed.
        return await sync_to_async(cls.create)(**kwargs)


class UserFactory(AsyncModelFactory):
    class Meta:
        model = get_user_model()

    username = factory.Sequence(lambda n: f"user{n}")


class InvoiceLineFactory(AsyncModelFactory):
    class Meta:
        model = InvoiceLine

    description = "Consulting, hours"
    quantity = 2
    unit_price = "95.00"


class InvoiceFactory(AsyncModelFactory):
    class Meta:
        model = Invoice
        skip_postgeneration_save = True

    customer_name = "Bakery Miller"
    customer_address = "12 Mill Lane\nYork"
    customer_email = "miller@example.com"
    line = factory.RelatedFactory(InvoiceLineFactory, factory_related_name="invoice")


class MessageFactory(AsyncModelFactory):
    class Meta:
        model = Message

    room = "room-42"
    user = factory.SubFactory(UserFactory)
    text = "hello"
