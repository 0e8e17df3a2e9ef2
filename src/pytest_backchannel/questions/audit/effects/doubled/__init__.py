"""What the doubles of a test stand for: Mocks, and those of HTTP."""
