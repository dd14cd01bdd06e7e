"""Proofs: short programs that anybody may run against a scratch centre of their own.

Each shows that one thing which must always hold does hold, and says what it did and found.
"""
