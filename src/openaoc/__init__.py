"""OpenAOC: an open operation centre against online scams."""

from __future__ import annotations

__version__ = "0.1.0"
