"""Our taxonomy as a machinetag, and our object templates, as MISP takes them."""
