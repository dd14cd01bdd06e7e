"""The one error tree.

Stages raise these; only the delivery packages turn them into HTTP statuses and exit codes.

The class docstring is the title a person reads; `detail` says what about this time; `where` says
which part of the input.
"""

from __future__ import annotations

import inspect


class OpenAOCError(Exception):
    """Something went wrong."""

    def __init__(self, detail: str = "", *, where: str = "") -> None:
        self.detail = detail
        self.where = where
        super().__init__(detail)

    @property
    def title(self) -> str:
        """The class docstring's first line, without its full stop."""
        return (inspect.getdoc(type(self)) or "Error").splitlines()[0].rstrip(".")

    @property
    def code(self) -> str:
        """The class name in kebab case: the stable name of this error for machines."""
        name = type(self).__name__
        return "".join(f"-{c.lower()}" if c.isupper() else c for c in name).lstrip("-")

    def __str__(self) -> str:
        place = f"{self.where}: " if self.where else ""
        return f"{place}{self.detail}" if self.detail else f"{place}{self.title}"


class BadInput(OpenAOCError):
    """The input is not valid."""


class TooLarge(BadInput):
    """The input is larger than the limit allows."""


class NotFound(OpenAOCError):
    """There is no such thing."""


class NotSignedIn(OpenAOCError):
    """A valid key or signature is needed."""


class Refused(OpenAOCError):
    """This is not permitted."""


class Conflict(OpenAOCError):
    """This contradicts what is already known."""


class Busy(OpenAOCError):
    """The centre is at a limit; try again later."""


class Unavailable(OpenAOCError):
    """Something this needs cannot be reached."""


class Corrupt(OpenAOCError):
    """Stored data is not what was written."""
