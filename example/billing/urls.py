from django.urls import path

from . import views

urlpatterns = [
    path("", views.invoice_list, name="invoice-list"),
    path("email/", views.email_drafts, name="email-drafts"),
    path("<int:invoice_id>/", views.invoice_detail, name="invoice-detail"),
    path("<int:invoice_id>/pdf/", views.invoice_pdf, name="invoice-pdf"),
    path("<int:invoice_id>/email/", views.email_invoice, name="email-invoice"),
]
