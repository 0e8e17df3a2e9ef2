"""Forked children in which a body runs again, dies and runs again: the test's own process is never touched."""
