from django.urls import path

from . import views

urlpatterns = [
    path("add/async/<str:name>/", views.add_async),
    path("add/sync/<str:name>/", views.add_sync),
    path("names/", views.names),
    path("stream/", views.stream),
    path("closing/", views.closing),
]
