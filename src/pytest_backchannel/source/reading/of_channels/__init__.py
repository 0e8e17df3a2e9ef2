"""What one file says of channels: groups, the JSON that clients send, and routes."""
