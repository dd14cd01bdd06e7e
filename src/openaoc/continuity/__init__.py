"""Stage: what keeps the centre's word alive: backups, restores, a standby, witnesses, proofs.

Decides nothing about a case.
"""
