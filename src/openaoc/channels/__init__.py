"""Channels: how a message reaches an institution and comes back, signed both ways.

Never decides what is held; it carries what holds/ decided and what institutions answered.
"""
