"""First tests, tried before they are written: in a copy of the project, in a process that reaches nothing real."""
