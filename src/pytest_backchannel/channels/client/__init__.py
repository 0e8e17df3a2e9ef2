"""The WebSocket client of a test: it opens the application as a server does, and holds it to what servers enforce."""
