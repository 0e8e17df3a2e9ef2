"""Virtual time, the event loops that keep it, and the one notion of idle."""
