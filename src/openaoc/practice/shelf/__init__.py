"""Playbooks and typologies that ship with the centre: data."""
