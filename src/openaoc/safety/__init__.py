"""Safety: what stops automatic orders, and what takes back everything a fault caused.

Never decides about a holder; it only stops, waits for persons, and gives back.
"""
