"""One byte string for one value: what the journal hashes and what a head signs."""

from __future__ import annotations

import msgspec

_ENCODER = msgspec.json.Encoder(order="sorted")


def canonical_json(value: object) -> bytes:
    """UTF-8 JSON without spaces, keys in order of their code points, no NUL byte.

    Our values hold no floats, so this agrees with RFC 8785 where the keys are ASCII.
    Raises TypeError for what has no JSON form (a programmer's error).
    """
    return _ENCODER.encode(value)
