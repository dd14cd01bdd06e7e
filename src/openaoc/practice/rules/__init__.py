"""How long a package is tried before persons may take it live: data."""
