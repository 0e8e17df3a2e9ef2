"""``backchannel check --fix``: edits of the text where the rule is sure and the code can't mean anything else.

An edit inserts or replaces what the syntax tree says exactly where it stands, and leaves all other bytes alone, so that
no library is needed that keeps comments and spaces.
"""
