"""What runs within the project's own pytest: calls a task, opens a route, and says what a test of it could assert."""
