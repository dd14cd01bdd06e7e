"""Reports: what a victim or an institution told us, kept once and never altered.

Never decides what follows from it.
"""
