from billing.consumers import InvoiceStatusConsumer
from chat.consumers import ChatConsumer
from chat.converters import register_room_converter
from django.urls import path

register_room_converter()

websocket_urlpatterns = [
    path("ws/chat/<room:room>/", ChatConsumer.as_asgi()),
    path("ws/invoices/<int:invoice_id>/", InvoiceStatusConsumer.as_asgi()),
]
