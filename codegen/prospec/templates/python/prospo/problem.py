"""What the validators say. Here lives only the shape of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from .errors import CallerError
from .model import Evidence

Severity = Literal["error", "warning"]


@dataclass(frozen=True, slots=True)
class Problem:
    """One mistake in a request."""

    path: str
    """JSON Pointer into the request. A member that is missing bears its own pointer."""
    code: str
    """The JSON Schema keyword that is broken, or `model`, `mode`, `media`, `size`, `json`."""
    severity: Severity
    """An error where a documented fact is broken, else a warning."""
    evidence: Evidence
    message: str
    hint: str | None = None
    """What was likely meant, where something was."""


class InvalidRequest(CallerError, ValueError):  # noqa: N818 - the name that a user reads: it is about the request
    """A request that would be refused, with every problem that is an error."""

    def __init__(self, problems: Sequence[Problem]) -> None:
        super().__init__("; ".join(f"{problem.path or '/'}: {problem.message}" for problem in problems))
        self.problems = tuple(problems)


class NotJSONError(ValueError):
    """Bytes that are no request: not JSON, or beyond the limits of the validation profile."""
