"""The task queue over a real broker and a real worker process."""
