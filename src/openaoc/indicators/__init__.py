"""Indicators: identifiers the centre holds an opinion on, who said so, and how long it stands.

Never holds money and never decides by itself that somebody is a deceiver: persons confirm.
"""
