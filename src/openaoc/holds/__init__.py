"""Holds: which amount is asked of whom, on what authority, until when, and what came of it.

Never traces and never moves money.
"""
