"""What ``backchannel init`` does: what a project has, what it lacks for its first tests, and tests that were tried."""
