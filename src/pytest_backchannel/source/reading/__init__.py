"""One file in, plain facts out: what it says, with names that other files will have to explain."""
