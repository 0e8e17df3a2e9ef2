"""The process in which the project is loaded as production does, with nothing real in reach."""
