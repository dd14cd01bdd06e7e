"""Stage tracing: where the stolen money went, to the minor unit, under three rules of law.

Decides nothing about a person and orders nothing: later stages do.
"""
