"""Celery's real producer and worker over a simulated broker, one step at a time."""
