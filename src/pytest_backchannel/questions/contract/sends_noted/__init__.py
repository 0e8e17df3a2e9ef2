"""What tests send, whatever they are written with: noted while they run."""
