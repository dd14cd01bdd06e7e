"""Across borders: a pursuit goes on in a partner's centre, and its sums come back."""
