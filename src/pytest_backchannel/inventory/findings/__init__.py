"""What the settings of production would do to those who run them: one rule a function, each with a name."""
