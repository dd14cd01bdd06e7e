"""Holds: legal rules as data files, one per jurisdiction. Code never knows a duration."""
