"""The property-based differential suite: scenarios that Hypothesis draws, on the double and on the real thing."""
