"""Stage: PostgreSQL, transactions, the journal, the vault of identities, jobs.

Knows nothing of the matter under work.
"""
