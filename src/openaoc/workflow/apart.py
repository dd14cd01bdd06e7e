"""Workflow: many cases in few transactions, and where one fails, its cases each alone.

One case that cannot be planned stops no other. Hides no fault: what is left is raised at the end.
"""

from __future__ import annotations

import functools
from collections.abc import Callable, Sequence

import structlog

from openaoc.kernel.errors import Busy, Unavailable
from openaoc.storage.unit_of_work import retrying

Work = Callable[[Sequence[str]], int]
"""Takes cases, does one transaction and says how many it concerned."""

_LOG = structlog.get_logger(__name__)


def in_parts(work: Work, case_ids: Sequence[str], *, most: int, alone: Work | None = None) -> int:
    """The work on `most` cases at once; how many it concerned in all.

    Where it fails, `alone` (by default the same) is done for each of them. What single cases raise
    is raised when all had their turn; Busy and Unavailable, which are no single case's, at once.
    """
    count, failed = 0, list[Exception]()
    for first in range(0, len(case_ids), most):
        part = case_ids[first : first + most]
        try:
            count += retrying(functools.partial(work, part))
        except (Busy, Unavailable):
            raise
        except Exception as error:  # noqa: BLE001 - raised again, of one case or at the end
            if len(part) == 1 and alone is None:
                _LOG.exception("workflow.case.failed", case=part[0])
                failed.append(error)
                continue
            try:
                count += in_parts(alone or work, part, most=1)
            except (Busy, Unavailable):
                raise
            except Exception as error:  # noqa: BLE001 - raised at the end
                failed.append(error)
    if failed:
        raise failed[0]
    return count
