"""API: the centre over HTTP: parse, authorise, call one service, present.

Never holds a rule of its own.
"""
