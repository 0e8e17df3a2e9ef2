"""What all questions of a run share: the moments of a test, and what it has patched."""
