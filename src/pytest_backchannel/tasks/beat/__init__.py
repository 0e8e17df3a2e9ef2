"""What ``celery beat`` would enqueue, in virtual time."""

from .run import run_beat

__all__ = ["run_beat"]
