from datetime import timedelta
from decimal import Decimal
from functools import partial

from django.core.files.base import ContentFile
from django.core.mail import EmailMessage
from django.core.validators import MinValueValidator
from django.db import models, transaction
from django.urls import reverse
from django.utils import timezone

from .live import announce
from .mail import deliver
from .pdf import invoice_pdf


class IncompleteInvoice(ValueError):
    """The invoice can't be sent as it is; the text says what is missing."""


class Invoice(models.Model):
    class Status(models.TextChoices):
        DRAFT = "draft", "Draft"
        QUEUED = "queued", "On its way"
        SENT = "sent", "Sent"
        FAILED = "failed", "Failed"

    customer_name = models.CharField(max_length=200)
    customer_address = models.TextField(blank=True)
    customer_email = models.EmailField(blank=True)
    status = models.CharField(max_length=10, choices=Status, default=Status.DRAFT)
    created_at = models.DateTimeField(default=timezone.now)
    queued_at = models.DateTimeField(null=True, blank=True)
    emailed_at = models.DateTimeField(null=True, blank=True)
    pdf = models.FileField(upload_to="invoices/", blank=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"Invoice {self.number}"

    def get_absolute_url(self):
        return reverse("invoice-detail", args=[self.pk])

    @property
    def number(self):
        return f"{self.created_at.year}-{self.pk:04}"

    @property
    def total(self) -> Decimal:
        return sum((line.amount for line in self.lines.all()), Decimal(0))

    def check_complete(self) -> None:
        missing = []
        if not self.customer_email:
            missing.append("the customer's e-mail address")
        if not self.lines.all():
            missing.append("a line")
        if missing:
            raise IncompleteInvoice(f"Invoice {self.number} lacks {' and '.join(missing)}")

    def make_pdf(self) -> None:
        """Make the PDF and keep it, unless there is one: a task that runs twice makes it once."""
        if not self.pdf or not self.pdf.storage.exists(self.pdf.name):
            self.pdf.save(f"{self.number}.pdf", ContentFile(invoice_pdf(self)), save=False)
            self.save(update_fields=["pdf"])

    def queue(self) -> bool:
        """Note that the invoice is about to be sent; False if it is on its way already, or has arrived."""
        if self.status in (self.Status.QUEUED, self.Status.SENT):
            return False
        self.status, self.queued_at = self.Status.QUEUED, timezone.now()
        self.save(update_fields=["status", "queued_at"])
        return True

    def mark_emailed(self) -> None:
        self.emailed_at = timezone.now()
        self._set_status(self.Status.SENT, "emailed_at")

    def mark_failed(self) -> None:
        self._set_status(self.Status.FAILED)

    def _set_status(self, status: str, *fields: str) -> None:
        self.status = status
        self.save(update_fields=["status", *fields])
        # Robust: the invoice has gone out, also if nobody can be told now.
        transaction.on_commit(partial(announce, self.pk, self.status), robust=True)

    @classmethod
    def stuck(cls, minutes: int = 15) -> models.QuerySet:
        """Invoices that were queued long ago and have not been sent: their message was lost."""
        return cls.objects.filter(status=cls.Status.QUEUED, queued_at__lt=timezone.now() - timedelta(minutes=minutes))


class InvoiceLine(models.Model):
    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="lines")
    description = models.CharField(max_length=200)
    quantity = models.PositiveIntegerField(default=1)
    unit_price = models.DecimalField(max_digits=10, decimal_places=2, validators=[MinValueValidator(0)])

    class Meta:
        ordering = ["id"]

    def __str__(self):
        return self.description

    @property
    def amount(self) -> Decimal:
        return self.quantity * self.unit_price


class EmailLog(models.Model):
    """One row for each e-mail that the mail server took."""

    invoice = models.ForeignKey(Invoice, on_delete=models.CASCADE, related_name="emails")
    to = models.EmailField()
    sent_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self):
        return f"{self.invoice} to {self.to}"

    @classmethod
    def send(cls, invoice: Invoice) -> "EmailLog":
        """Send the invoice to its customer, with the PDF.

        Raises TransientSMTPError where a later attempt may succeed, IncompleteInvoice where none can.
        """
        invoice.check_complete()
        invoice.make_pdf()
        message = EmailMessage(
            subject=f"Invoice {invoice.number}",
            body=f"Dear {invoice.customer_name},\n\nyour invoice over {invoice.total:.2f} EUR is attached.\n",
            to=[invoice.customer_email],
        )
        with invoice.pdf.open() as file:
            message.attach(f"invoice-{invoice.number}.pdf", file.read(), "application/pdf")
        deliver(message)
        return cls.objects.create(invoice=invoice, to=invoice.customer_email)


class MonthTotal(models.Model):
    month = models.DateField(unique=True, help_text="Its first day.")
    invoices = models.PositiveIntegerField()
    total = models.DecimalField(max_digits=12, decimal_places=2)

    class Meta:
        ordering = ["-month"]

    def __str__(self):
        return f"{self.month:%Y-%m}: {self.total}"
