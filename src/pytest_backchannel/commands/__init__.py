"""The verbs of ``backchannel``: arguments and printing."""
