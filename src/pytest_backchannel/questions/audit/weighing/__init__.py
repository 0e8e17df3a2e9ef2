"""What two runs of a body differ in, and what of that matters."""
