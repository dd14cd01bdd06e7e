"""Simulation: a trial: one nation, lived with the centre and with telephone and spreadsheet."""
