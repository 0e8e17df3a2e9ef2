"""BC1xx: tests, their settings, and what they leave out."""
