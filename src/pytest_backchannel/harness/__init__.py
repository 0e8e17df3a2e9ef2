"""What joins the doubles to pytest: what begins and ends around each test, for the hooks in plugin.py and the fixtures.

The hooks themselves stand in plugin.py, and the fixtures in fixtures/; both are thin, and what they do with a test, its
marker and the options of the run is here. The modules may import pytest and the standard library at the top, and
nothing of Django, Celery or Channels: every run imports them.
"""
