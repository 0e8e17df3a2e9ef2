"""What the project is: its settings of production, and its Celery app."""
