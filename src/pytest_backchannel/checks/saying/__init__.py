"""How it is said what was found, and what a comment allows."""
