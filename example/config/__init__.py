# Loaded with Django, so that every shared_task finds this app.
from .celery import app as celery_app

__all__ = ["celery_app"]
