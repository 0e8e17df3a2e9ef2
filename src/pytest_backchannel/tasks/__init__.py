"""Doubles for Celery: eager mode made exact, and the real worker, stepped."""
