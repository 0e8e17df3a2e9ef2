"""How the audit is told: in the terminal, as JSON, and as a test to paste."""
