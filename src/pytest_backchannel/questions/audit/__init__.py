"""The audit: what comes of each task's body when its message is delivered twice, or its worker dies half-way."""
