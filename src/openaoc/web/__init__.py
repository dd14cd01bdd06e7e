"""What console and public pages share: templates, style and words."""
