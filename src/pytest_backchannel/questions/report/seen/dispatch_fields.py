"""The fields of a JSON frame by whose value code may choose what to do; of no other field a value is kept."""

DISPATCH_FIELDS = frozenset(
    (
        "type",
        "action",
        "event",
        "command",
        "cmd",
        "kind",
        "op",
        "method",
        "message_type",
        "msg_type",
        "request",
        "topic",
    )
)
