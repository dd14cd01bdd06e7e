"""Simulation: exercises that two centres hold together, and what comes out of them."""
