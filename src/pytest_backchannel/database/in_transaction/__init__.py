"""What should wait for the commit, and was done inside of ``transaction.atomic()``."""
