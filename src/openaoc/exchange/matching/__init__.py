"""Matching: which identifiers two centres both know, and nothing else."""
