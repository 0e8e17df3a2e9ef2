"""What tasks and consumers say of themselves, without being run."""
