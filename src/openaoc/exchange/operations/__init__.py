"""Joint operations: work of several centres with a timeline and results of its own."""
