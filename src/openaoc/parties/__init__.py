"""Stage: institutions, users, roles, keys, and the switches from shadow to live.

Knows nothing of cases or holds.
"""
