"""`python -m openaoc`: the same as the command `openaoc`."""

from __future__ import annotations

from openaoc.cli.main import main

if __name__ == "__main__":
    main()
