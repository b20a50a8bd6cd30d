"""One request and its answer, as steps: what is sent, when it is sent again, and what an answer means.

A step is a value that a driver (`transport`) carries out, blocking or not; the decisions are the same for both. Here
live no sockets, no clock but the monotonic one, and no endpoint.
"""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Generator, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any, TypeVar

from .errors import REFUSALS, FileRefused, NoAnswer, NotSent, ProspoError, RateLimit, Refused, Unavailable
from .jsontext import parse
from .problem import NotJSONError
from .secrecy import redacted

if TYPE_CHECKING:
    from pathlib import Path

    from .files import FileBody, Progress

ATTEMPTS = 4
"""How often a request is sent at most, where it may be sent again at all."""
LONGEST_PAUSE_S = 60.0
"""Who is told to wait for longer is told so by an error instead."""
ANSWER_MAX_BYTES = 8 << 20
_FIRST_PAUSE_S, _BACKOFF_MAX_S = 0.5, 8.0
_LEAST_S = 0.001
"""What is left to a call at its deadline: too little for an answer, and no error of its own."""
_EPOCH_S = 1_000_000_000
"""A reset beyond it is a time (beyond 1000 times it, in milliseconds): the documentation names no unit."""


@dataclass(frozen=True, slots=True)
class Call:
    """One request that is to be sent."""

    name: str
    """Method and path as a message tells them, without what is secret."""
    method: str
    url: str = field(repr=False)
    """A path below the base URL, or an absolute URL."""
    body: bytes | FileBody | None = field(default=None, repr=False)
    content_type: str | None = None
    is_paid: bool = False
    """Whether an accepted one costs money: then it is sent again only if it cannot have been accepted."""
    has_key: bool = True
    timeout_s: float = 30.0
    """For the whole of it, from the look-up of the name to the last byte."""
    save_to: Path | None = None
    """Where a body of 2xx goes, piece by piece, in place of the reply."""
    on_progress: Progress | None = field(default=None, repr=False)
    """Told while a file goes or comes."""


@dataclass(frozen=True, slots=True)
class Pause:
    """Seconds in which nothing is done."""

    seconds: float


Step = Call | Pause


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer. The names of headers are in lower case."""

    status: int
    headers: Mapping[str, str] = field(repr=False)
    body: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Failure:
    """No whole answer."""

    reason: str
    may_have_arrived: bool
    """False only where no connection was made."""
    is_local: bool = False
    """Whether it is a file of this machine that failed."""


Done = TypeVar("Done")
Steps = Generator[Step, Any, Done]
"""What to do, ending in a value. A Call is answered with a Reply or a Failure, a Pause with nothing."""


@dataclass(frozen=True, slots=True)
class Deadline:
    """A point of the monotonic clock. None is never."""

    at: float | None

    @classmethod
    def after(cls, seconds: float | None) -> Deadline:
        return cls(None if seconds is None else time.monotonic() + seconds)

    def left_s(self, most_s: float) -> float:
        """The seconds that are left, `most_s` at most, never below 0."""
        return most_s if self.at is None else max(0.0, min(most_s, self.at - time.monotonic()))

    def allows(self, seconds: float) -> bool:
        """Whether so long a pause ends before it."""
        return self.at is None or time.monotonic() + seconds < self.at


def exchange(call: Call, deadline: Deadline, on_idle_end: Callable[[], object] | None = None) -> Steps[Reply | Failure]:
    """Send a call, as often as it makes sense and is safe. What comes back may still be an answer of any status.

    Steps can be cut off anywhere. `on_idle_end` is told if it is before an attempt, where nothing is under way.
    """
    attempt, pause_s = 1, 0.0
    while True:
        try:
            yield Pause(pause_s)
        except GeneratorExit:
            if on_idle_end is not None:
                on_idle_end()
            raise
        left_s = deadline.left_s(call.timeout_s)
        if call.is_paid and left_s == 0:
            return Failure("the time for it is over", may_have_arrived=False)
        answer: Reply | Failure = yield replace(call, timeout_s=max(left_s, _LEAST_S))
        again_s = _pause_s(call, answer, attempt)
        if again_s is None or attempt == ATTEMPTS or not deadline.allows(again_s):
            return answer
        attempt, pause_s = attempt + 1, again_s


def _pause_s(call: Call, answer: Reply | Failure, attempt: int) -> float | None:
    """After how long the call is sent again; None for not at all."""
    backoff_s = min(_FIRST_PAUSE_S * float(2 ** (attempt - 1)), _BACKOFF_MAX_S) * random.uniform(0.5, 1)
    if isinstance(answer, Failure):
        return None if answer.is_local or (call.is_paid and answer.may_have_arrived) else backoff_s
    if answer.status == 429:
        told_s = _told_s(answer.headers)
        if told_s is None:
            return backoff_s
        return told_s + random.uniform(0, 0.1) if told_s <= LONGEST_PAUSE_S else None
    return backoff_s if answer.status >= 500 and not call.is_paid else None


def _told_s(headers: Mapping[str, str]) -> float | None:
    """The seconds that an answer of 429 asks to wait: Retry-After, or else the reset of the rate limit."""
    for name in ("retry-after", "x-ratelimit-reset"):
        text = headers.get(name, "")
        seconds = _number(text)
        if seconds is not None and seconds > _EPOCH_S:
            seconds = (seconds / 1000 if seconds > 1000 * _EPOCH_S else seconds) - time.time()
        elif seconds is None and text:
            try:
                seconds = (parsedate_to_datetime(text) - datetime.now(UTC)).total_seconds()
            except (TypeError, ValueError):
                continue
        if seconds is not None:
            return max(0.0, seconds)
    return None


def rate_limit(headers: Mapping[str, str]) -> RateLimit:
    """What the X-RateLimit headers of an answer say."""
    limit, remaining = (_number(headers.get(f"x-ratelimit-{name}", "")) for name in ("limit", "remaining"))
    return RateLimit(
        limit=None if limit is None else int(limit),
        remaining=None if remaining is None else int(remaining),
        reset=_number(headers.get("x-ratelimit-reset", "")),
    )


def _number(text: str) -> float | None:
    text = text.strip()
    return float(text) if text.isascii() and text.replace(".", "", 1).isdigit() and len(text) < 20 else None


def request_id(headers: Mapping[str, str]) -> str | None:
    """The id that the service gave a request, where it gives one."""
    found = headers.get("x-request-id") or headers.get("request-id")
    return redacted(found) if found else None


def json_of(reply: Reply) -> Any:
    """The value of a body. Raises NotJSONError."""
    return parse(reply.body, max_bytes=ANSWER_MAX_BYTES)


def refused(call: Call, reply: Reply) -> Refused:
    """The error that an answer of 4xx is."""
    code, detail = _told(reply)
    said = detail or code or "no reason is given"
    return REFUSALS.get(reply.status, Refused)(
        f"{call.name} was refused with {reply.status}: {said}",
        status=reply.status,
        code=code,
        detail=detail,
        request_id=request_id(reply.headers),
        rate_limit=rate_limit(reply.headers),
    )


def _told(reply: Reply) -> tuple[str | None, str | None]:
    """Code and message of an error's body, whichever of its documented forms it has."""
    try:
        body = json_of(reply)
    except NotJSONError:
        return None, None
    if not isinstance(body, dict):
        return None, None
    code = body.get("code")
    said = body.get("message") or body.get("detail")
    return redacted(code) if isinstance(code, str) else None, redacted(str(said)) if said else None


def free(call: Call, deadline: Deadline) -> Steps[Reply]:
    """A call that costs nothing, until it is answered with 2xx. Raises Refused, Unavailable, NotSent, NoAnswer."""
    answer = yield from exchange(call, deadline)
    if isinstance(answer, Reply) and 200 <= answer.status < 300:
        return answer
    raise fault_of(call, answer)


def fault_of(call: Call, answer: Reply | Failure) -> ProspoError:
    """The error of a free call that was not answered with 2xx."""
    if isinstance(answer, Failure) and answer.is_local:
        return FileRefused(answer.reason)
    if isinstance(answer, Failure):
        return NoAnswer(f"{call.name}: {answer.reason}") if answer.may_have_arrived else not_sent(call, answer)
    if 400 <= answer.status < 500:
        return refused(call, answer)
    return unavailable(call, answer, f"the answer is {answer.status}")


def not_sent(call: Call, failure: Failure) -> NotSent:
    return NotSent(f"{call.name} was not sent: {failure.reason}. Check the base URL and the network")


def unavailable(call: Call, reply: Reply, why: str) -> Unavailable:
    said = _told(reply)[1]
    message = f"{call.name}: {why}{f', saying {said!r}' if said else ''}"
    return Unavailable(message, status=reply.status, request_id=request_id(reply.headers))
