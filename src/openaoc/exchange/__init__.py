"""Exchange: what one centre knows helps another, and neither gives away more than it agreed to.

Deny by default: without an agreement that grants it, nothing leaves.
"""
