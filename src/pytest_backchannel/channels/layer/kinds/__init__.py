"""The two kinds of production layers, without Redis: what is kept where, for how long, and what is dropped."""
