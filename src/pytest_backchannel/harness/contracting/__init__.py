"""Recording the contract of a project while its suite runs, whatever that is written with."""
