"""Cases: the matter under work: its claims, its state, its latest trace, its secret.

Never sends anything to anybody.
"""
