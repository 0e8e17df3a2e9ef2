from decimal import Decimal

from chat.models import Message
from django.conf import settings
from django.contrib.auth import get_user_model
from django.core.management.base import BaseCommand, CommandError
from django.db import transaction

from billing.models import Invoice

PASSWORD = "demo"
USERS = ("ada", "grace")
INVOICES = [
    (
        "Bakery Miller",
        "12 Mill Lane\nYork",
        "miller@example.com",
        [("Website, monthly care", 1, "120"), ("Photos", 6, "35")],
    ),
    ("Northern Bikes Ltd", "4 Harbour Road\nLeith", "office@bikes.example.com", [("Consulting, hours", 12, "95")]),
    ("Dr. Jonas Weiß", "Lindenstraße 7\nBremen", "praxis@example.org", [("Booking system, set-up", 1, "1450")]),
    ("Teahouse Lotus", "88 Canal Street\nLeeds", "hello@lotus.example.com", [("Menu, print files", 2, "180")]),
    ("Nobody & Sons", "No fixed address", "", [("Lamp oil", 3, "9.50")]),
]


class Command(BaseCommand):
    help = "Two users, several invoices and a few words in the lobby, for the site on this machine."

    @transaction.atomic
    def handle(self, *args, **options):
        if not getattr(settings, "DEMO_DATA", False):
            raise CommandError("The demo users' password is public: this runs with config.settings.site alone.")
        users = []
        for name in USERS:
            user, created = get_user_model().objects.get_or_create(username=name)
            if created:
                user.set_password(PASSWORD)
                user.save()
            users.append(user)
        if not Invoice.objects.exists():
            for name, address, email, lines in INVOICES:
                invoice = Invoice.objects.create(customer_name=name, customer_address=address, customer_email=email)
                for description, quantity, price in lines:
                    invoice.lines.create(description=description, quantity=quantity, unit_price=Decimal(price))
        if not Message.objects.exists():
            Message.objects.create(room="lobby", user=users[0], text="Welcome! Open this room in a second browser.")
