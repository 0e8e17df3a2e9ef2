"""The audit of a run: what is audited in each test, and what is made of it at the end."""
