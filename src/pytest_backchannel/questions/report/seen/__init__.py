"""What is seen of a test as it runs: each module watches one kind of thing, and notes facts."""
