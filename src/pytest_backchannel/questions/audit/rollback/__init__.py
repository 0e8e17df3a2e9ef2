"""What is sent from inside a transaction of the code's: a rollback does not take it back."""
