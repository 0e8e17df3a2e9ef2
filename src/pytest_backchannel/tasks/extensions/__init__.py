"""What extends Celery from outside: the boot steps and receivers of the project, and django-celery-results."""
