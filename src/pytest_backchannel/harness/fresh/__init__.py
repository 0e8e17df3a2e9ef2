"""What fresh processes of production say: the tasks that a worker knows, and what the settings would do."""
