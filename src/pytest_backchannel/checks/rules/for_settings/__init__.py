"""BC6xx: settings, and tasks and queues that they name."""
