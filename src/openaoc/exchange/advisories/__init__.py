"""Advisories: warnings to critical sectors, and the centre's report of its own incidents."""
