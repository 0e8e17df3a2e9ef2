"""What one file says of tasks: which it defines and enqueues, what beat is to enqueue, and the settings of both."""
