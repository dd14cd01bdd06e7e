"""Restitution: who gets what from what is held, who may object, and what was paid."""
