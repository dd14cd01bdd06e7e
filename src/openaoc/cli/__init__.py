"""CLI: the centre from a terminal; each command's module is imported only when it runs."""
