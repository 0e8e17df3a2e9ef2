"""Caches and Redis in a shadow: a cache is written in memory above the real one, and a Redis is put back afterwards."""
