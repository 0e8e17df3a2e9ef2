"""One flag on any suite, and what it answers."""
