"""What of a stepped worker outlives the test, and how it is told whether it still is as it was made.

Building a worker, a producer and a result backend is most of what a test with one task costs, and nine tests of ten
would build the same ones. So they are kept with their app, and used again where three things hold, each looked at when
they would be built anew, and not earlier: the settings are the same objects (``settings_print.py``), the classes of
Celery and kombu have the same methods, and every object that can be reached from what is kept is as it was when it was
made (``snapshot.py``). Otherwise they are thrown away, and made as ever. What a test puts in them (messages, timers,
strategies, token buckets, what is declared) is taken out first.

After remote control, the death of a worker, or an exception from a step, nothing is kept.
"""
