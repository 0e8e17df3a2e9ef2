"""BC5xx: consumers, their groups and their coroutines."""
