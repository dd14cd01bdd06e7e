"""Per jurisdiction: how fast a contest is answered, and the words its holder reads."""
