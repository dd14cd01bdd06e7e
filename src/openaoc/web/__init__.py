"""What pages and papers share: templates, style, words, limits."""
