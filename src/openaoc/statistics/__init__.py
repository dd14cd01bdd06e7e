"""Statistics: how well does the centre do? Counts and times, never a person."""
