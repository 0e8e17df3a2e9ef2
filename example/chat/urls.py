from django.urls import path

from . import views
from .converters import register_room_converter

register_room_converter()

urlpatterns = [
    path("", views.rooms, name="rooms"),
    path("<room:room>/", views.room, name="room"),
]
