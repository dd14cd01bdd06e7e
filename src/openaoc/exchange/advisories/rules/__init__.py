"""Advisories: the rule data: sectors, clocks, and who is told of a breach."""
