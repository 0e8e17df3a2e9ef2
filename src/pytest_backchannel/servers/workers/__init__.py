"""Real worker processes: the template that forks them, and what runs inside."""
