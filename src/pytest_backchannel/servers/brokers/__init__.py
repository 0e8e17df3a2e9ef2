"""Real brokers: private servers, given ones, and what a run declares in them."""
