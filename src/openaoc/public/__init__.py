"""The public's door: what anybody may see without signing in."""
