"""Campaigns: which indicators persons hold to be one and the same scam's, under which name."""
