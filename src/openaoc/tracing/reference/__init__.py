"""Stage tracing: the plain twin of the kernels: replays the whole ledger, transfer by transfer.

Obviously right and slow; the kernels must agree with it to the minor unit.
"""

from __future__ import annotations

from openaoc.tracing.reference.replay import trace_cases

__all__ = ["trace_cases"]
