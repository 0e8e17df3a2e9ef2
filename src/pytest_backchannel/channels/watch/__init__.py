"""What is seen of consumers, whoever runs them: their handlers, crashes, and what they leave behind."""
