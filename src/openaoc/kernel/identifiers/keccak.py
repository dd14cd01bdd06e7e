"""Keccak-256 as ethereum uses it: SHA-3 with the padding it had before the standard (FIPS 202).

The standard library has the standard's padding only. For 64-character addresses, not for files.
"""

from __future__ import annotations

from typing import Final

RATE_BYTES: Final = 136
DIGEST_BYTES: Final = 32
_LANES: Final = 25
_ROUNDS: Final = 24
_MASK: Final = (1 << 64) - 1


def _rotated(lane: int, by: int) -> int:
    by %= 64
    return (lane << by | lane >> (64 - by)) & _MASK


def _round_constants() -> tuple[int, ...]:
    """The bits of the linear register x^8 + x^6 + x^5 + x^4 + 1, placed at 2^j - 1."""
    constants, register = [], 1
    for _ in range(_ROUNDS):
        constant = 0
        for place in range(7):
            constant |= (register & 1) << ((1 << place) - 1)
            register = register << 1 ^ (0x171 if register & 0x80 else 0)
        constants.append(constant)
    return tuple(constants)


_CONSTANTS: Final = _round_constants()


def _permuted(state: list[int]) -> list[int]:
    """Keccak-f[1600]; lane (x, y) is at x + 5y."""
    for constant in _CONSTANTS:
        columns = [
            state[x] ^ state[x + 5] ^ state[x + 10] ^ state[x + 15] ^ state[x + 20]
            for x in range(5)
        ]
        mixed = [columns[(x - 1) % 5] ^ _rotated(columns[(x + 1) % 5], 1) for x in range(5)]
        state = [lane ^ mixed[at % 5] for at, lane in enumerate(state)]
        x, y, carried = 1, 0, state[1]
        for step in range(_LANES - 1):
            x, y = y, (2 * x + 3 * y) % 5
            at = x + 5 * y
            carried, state[at] = state[at], _rotated(carried, (step + 1) * (step + 2) // 2)
        for row in range(0, _LANES, 5):
            lanes = state[row : row + 5]
            for x in range(5):
                state[row + x] = lanes[x] ^ (~lanes[(x + 1) % 5] & lanes[(x + 2) % 5])
        state[0] ^= constant
    return state


def keccak_256(data: bytes) -> bytes:
    """The 32-byte digest."""
    padding = RATE_BYTES - len(data) % RATE_BYTES
    padded = bytearray(data + bytes(padding))
    padded[len(data)] |= 0x01
    padded[-1] |= 0x80
    state = [0] * _LANES
    for start in range(0, len(padded), RATE_BYTES):
        for lane in range(RATE_BYTES // 8):
            word = padded[start + 8 * lane : start + 8 * lane + 8]
            state[lane] ^= int.from_bytes(word, "little")
        state = _permuted(state)
    return b"".join(lane.to_bytes(8, "little") for lane in state)[:DIGEST_BYTES]
