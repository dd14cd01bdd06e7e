"""Workflow: the verbs that span stages, and the wiring of events and schedules.

Holds no rule of its own.
"""
