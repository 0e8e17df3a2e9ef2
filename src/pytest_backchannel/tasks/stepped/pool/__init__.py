"""The pool of the stepped worker: one request from its acceptance to its outcome, with its faults and limits."""
