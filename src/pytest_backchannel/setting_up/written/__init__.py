"""The text of each file that ``backchannel init`` writes, as the project needs it."""
