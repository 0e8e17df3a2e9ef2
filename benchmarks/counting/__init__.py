"""Counts the instructions of a piece of Python: on a busy machine, time does not tell what it costs."""
