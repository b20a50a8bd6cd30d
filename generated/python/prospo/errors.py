"""Every error of this package, in one tree, by whose fault it is. Here lives no decision about when one is raised.

ProspoError
  CallerError          yours: InvalidRequest, BadSignature, NotConfigured, FileRefused, OverBudget, and
    Refused            whatever the API answers with 4xx: BadRequest, Unauthorized, Forbidden, NotFound,
                       OutputExpired, RateLimited
  ServiceError         theirs: GenerationFailed, Unavailable
  NetworkError         on the way: NotSent, NoAnswer
  OutcomeUnknown       a paid request that may have been accepted
  StillRunning         a wait that ran out before the generation did
"""
# ruff: noqa: N818 - these are the names that a user reads, and they say what happened

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from datetime import datetime
    from decimal import Decimal

    from .answers import Generation


@dataclass(frozen=True, slots=True)
class RateLimit:
    """What an answer's X-RateLimit headers say. None for what they leave out, or say in no number."""

    limit: int | None
    remaining: int | None
    reset: float | None
    """As it came: the documentation names no unit."""


class ProspoError(Exception):
    """The root. Its text holds no key, upload token or signed URL, and it can be pickled."""

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuilt, (type(self), self.args, dict(self.__dict__))


def _rebuilt(kind: type[ProspoError], args: tuple[Any, ...], state: dict[str, Any]) -> ProspoError:
    error = kind.__new__(kind, *args)
    error.args = args
    error.__dict__.update(state)
    return error


def bare(error: BaseException) -> BaseException:
    """The error without the frames below here, and without what it was made of.

    Those of httpx2 and of `drafting` hold the key and what was asked in their variables.
    """
    error.__context__ = error.__cause__ = None
    return error.with_traceback(None)


class CallerError(ProspoError):
    """Yours to mend. Nothing was charged."""


class NotConfigured(CallerError):
    """A key or a base URL is missing, or is none."""


class FileRefused(CallerError):
    """A file that the API would not take, or that cannot be read or written."""


class OverBudget(CallerError):
    """The request may cost more than was allowed. It was not sent."""


class Refused(CallerError):
    """The API said no, with a status of 4xx. Nothing was charged."""

    def __init__(
        self,
        message: str,
        *,
        status: int,
        code: str | None,
        detail: str | None,
        request_id: str | None,
        rate_limit: RateLimit,
    ) -> None:
        super().__init__(message)
        self.status = status
        self.code = code
        """The machine-readable one, where the answer has it."""
        self.detail = detail
        """What the answer says to a person."""
        self.request_id = request_id
        self.rate_limit = rate_limit


class BadRequest(Refused):
    """400: the API refuses the request's content."""


class Unauthorized(Refused):
    """401: no valid key."""


class Forbidden(Refused):
    """403: the balance is too low, or the account is suspended."""


class NotFound(Refused):
    """404: no such generation, or no such upload."""


class OutputExpired(Refused):
    """410: the output is no longer kept."""


class RateLimited(Refused):
    """429: too many requests, for longer than the client waits by itself."""


class ServiceError(ProspoError):
    """Theirs to mend. Nothing was charged, or it was refunded."""


class GenerationFailed(ServiceError):
    """The generation ended as failed. The documentation says that its cost is refunded."""

    def __init__(self, message: str, generation: Generation) -> None:
        super().__init__(message)
        self.generation = generation


class Unavailable(ServiceError):
    """A free request was answered with 5xx, or with something that cannot be read, several times over."""

    def __init__(self, message: str, *, status: int, request_id: str | None) -> None:
        super().__init__(message)
        self.status = status
        self.request_id = request_id


class NetworkError(ProspoError):
    """The way to the API failed. Nothing was charged."""


class NotSent(NetworkError):
    """No connection was made, so that no byte of the request arrived: no such name, refused, no TLS."""


class NoAnswer(NetworkError):
    """A free request got no whole answer, several times over."""


class OutcomeUnknown(ProspoError):
    """A paid request may have been accepted, and its answer does not tell. It is never sent again by itself."""

    def __init__(
        self,
        message: str,
        *,
        reason: str,
        at: datetime,
        request_sha256: str,
        largest_cost_usd: Decimal | None,
        status: int | None,
        request_id: str | None,
    ) -> None:
        super().__init__(message)
        self.reason = reason
        self.at = at
        """When it was sent, in UTC."""
        self.request_sha256 = request_sha256
        """Of the body, as it was sent."""
        self.largest_cost_usd = largest_cost_usd
        """The most that it costs if it was accepted; None where no price is published."""
        self.status = status
        self.request_id = request_id


class StillRunning(ProspoError, TimeoutError):
    """The time to wait is over and the generation is not. It goes on, and can be taken up by its id."""

    def __init__(self, message: str, generation: Generation) -> None:
        super().__init__(message)
        self.generation = generation


REFUSALS: dict[int, type[Refused]] = {
    400: BadRequest,
    401: Unauthorized,
    403: Forbidden,
    404: NotFound,
    410: OutputExpired,
    429: RateLimited,
}
"""Status -> its class; any other 4xx is a Refused."""
