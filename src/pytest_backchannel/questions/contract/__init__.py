"""What a project sends and what it accepts, as a file; and whether two releases of it understand each other."""
