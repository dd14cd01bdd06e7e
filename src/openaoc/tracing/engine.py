"""Stage tracing: follows the money of several cases at once by whichever kernel fits.

The one entrance to the kernels; the plain reference has the same signature.
"""

from __future__ import annotations

from openaoc.tracing.reference import trace_cases

__all__ = ["trace_cases"]
