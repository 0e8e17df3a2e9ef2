"""What a test expects to wait: messages, workflows, and how they are compared."""
