"""The report of a run: what is gathered of each test, and what is made of it at the end."""
