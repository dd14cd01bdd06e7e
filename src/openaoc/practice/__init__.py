"""Practice: what centres learned, passed on: playbooks, typologies and the words of scammers.

Tried beside the daily work before it acts, and never a ground for a hold.
"""
