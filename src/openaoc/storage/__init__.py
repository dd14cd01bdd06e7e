"""Stage: PostgreSQL, transactions, the journal, the vault of identities.

Knows nothing of the matter under work.
"""
