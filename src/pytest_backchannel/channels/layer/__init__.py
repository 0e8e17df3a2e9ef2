"""The strict channel layer, its account of every message, and the observation of the project's own."""
