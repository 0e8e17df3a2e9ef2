"""Real servers and workers as processes of a test session."""
