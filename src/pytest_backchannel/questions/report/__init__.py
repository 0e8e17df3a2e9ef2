"""What a run shows of itself: the story of one failed test, and the summary at its end."""
