"""What extends Celery from outside: boot steps and receivers, django-celery-results, and celery-batches."""
