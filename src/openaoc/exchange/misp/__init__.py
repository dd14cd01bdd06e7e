"""Exchange, MISP: released objects as events and feeds, and others' events in our words."""
