"""Measurements of this machine, beside peers; later than every stage, imported by none."""
