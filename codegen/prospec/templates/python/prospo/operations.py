"""The operations of the API as steps, the same for both clients: what is sent, what the answer means, what it cost.

Here live no sockets and no waiting: a driver of `transport` carries the steps out.
"""

from __future__ import annotations

import json
import logging
import os
import random
import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from pathlib import Path, PurePosixPath
from typing import Any, BinaryIO
from urllib.parse import SplitResult, urljoin, urlsplit
from urllib.parse import quote as escaped

from . import answers, files
from .answers import Balance, Generation
from .budget import Budget, Hold
from .drafting import Draft, Order, draft
from .errors import (
    GenerationFailed,
    NetworkError,
    OutcomeUnknown,
    ProspoError,
    RateLimited,
    ServiceError,
    StillRunning,
    Unavailable,
)
from .exchange import (
    Call,
    Deadline,
    Failure,
    Pause,
    Reply,
    Steps,
    exchange,
    fault_of,
    free,
    json_of,
    not_sent,
    refused,
    request_id,
    unavailable,
)
from .files import FileBody, Progress
from .problem import NotJSONError, Problem
from .secrecy import SignedUrl, UploadToken, redacted
from .service import SYNC_TIMEOUT_S
from .values import is_media

_log = logging.getLogger("prospo")
WAIT_S = 1800.0
"""For how long a generation is waited for, unless the caller says otherwise. Nothing documents how long one takes."""
POLL_S = 1.0
"""The pause after the first look at a generation; each is longer than the one before."""
_POLL_GROWTH, _POLL_MAX_S = 1.5, 10.0
_SUBMIT_S, _LOOK_S, _LAST_LOOK_S, _FILE_S = 60.0, 30.0, 1.0, 600.0
_MARGIN_S = 10.0
"""A blocking call is let run a little beyond the documented limit, so that the service is the one to end it."""
_MOVES = 5
_PLACEHOLDER = UploadToken("a local file")
"""Stands for one while its request is judged, before any byte of the file is sent."""

Look = Callable[[Generation], object]


@dataclass(frozen=True, slots=True)
class Ticket:
    """A generation that was accepted: what is needed to take it up again, here or in another process."""

    generation_id: str
    model: str | None
    mode: str | None
    hold: Hold

    def checkpoint(self) -> str:
        """As JSON. It holds no secret."""
        return json.dumps(
            {
                "generation_id": self.generation_id,
                "model": self.model,
                "mode": self.mode,
                "largest_cost_usd": str(self.hold.largest_usd),
            }
        )


class Operations:
    """The operations, around one budget. Any number of threads may share one."""

    def __init__(self, budget: Budget, poll_s: float, warn: Callable[[Problem], None]) -> None:
        self.budget = budget
        self._poll_s = poll_s
        self._warn = warn
        self._issued: set[str] = set()
        """Upload tokens that have not the documented form."""
        self._tickets: dict[str, Ticket] = {}
        """By their ids, those that are done included: a job that is taken up twice is paid for once."""
        self._lock = threading.Lock()

    def generate(self, order: Order, budget: Budget) -> Steps[Generation]:
        """From an order to its completed generation. Raises GenerationFailed, StillRunning, and what `submit` does."""
        deadline = Deadline.after(order.options.get("timeout_s", WAIT_S))
        generation, ticket = yield from self._started(order, budget, deadline)
        if not generation.is_done:
            try:
                generation = yield from self.follow(ticket, deadline, None)
            except ProspoError as error:
                error.add_note(f"client.job({ticket.generation_id!r}) takes the generation up, which is paid for")
                raise
        return succeeded(generation)

    def submit(self, order: Order, budget: Budget) -> Steps[Ticket]:
        """Start a generation and wait for nothing. Raises NotSent, Refused, OutcomeUnknown, and what `draft` does."""
        deadline = Deadline.after(order.options.get("timeout_s", WAIT_S))
        order = replace(order, options={**order.options, "blocking": False})
        _, ticket = yield from self._started(order, budget, deadline)
        return ticket

    def unfinished(self) -> list[Ticket]:
        """What was accepted, and was not seen done so far, the oldest first."""
        with self._lock:
            return [ticket for ticket in self._tickets.values() if not ticket.hold.is_settled]

    def resumed(self, text: str) -> Ticket:
        """The ticket of a generation's id or of a checkpoint. Raises ValueError for neither."""
        try:
            kept = json.loads(text) if text.lstrip().startswith("{") else {"generation_id": text}
            id, largest_usd = kept["generation_id"], Decimal(kept.get("largest_cost_usd", 0))
            if not answers.is_id(id):
                raise ValueError
        except (ValueError, KeyError, TypeError, ArithmeticError):
            raise ValueError("this is neither the id of a generation nor the checkpoint of a job") from None
        with self._lock:
            if id not in self._tickets:
                self._tickets[id] = Ticket(id, kept.get("model"), kept.get("mode"), self.budget.resume(largest_usd))
            return self._tickets[id]

    def look(self, ticket: Ticket, deadline: Deadline) -> Steps[Generation]:
        """The generation as it stands. What it cost is settled once it is done."""
        path = f"/v1/generations/{escaped(ticket.generation_id, safe='')}"
        call = Call("GET /v1/generations/{id}", "GET", path, timeout_s=_LOOK_S)
        # The last look has a little time, too.
        reply = yield from free(call, Deadline.after(max(deadline.left_s(_LOOK_S), _LAST_LOOK_S)))
        generation = _generation(reply)
        if generation is None:
            raise unavailable(call, reply, "the answer is no generation")
        _settle(generation, ticket.hold)
        return generation

    def follow(self, ticket: Ticket, deadline: Deadline, on_update: Look | None) -> Steps[Generation]:
        """Look until it is done. `on_update` is told every status that differs from the one before.

        Raises StillRunning at the deadline. What fails on the way in between is tried again until then.
        """
        pause_s, last = self._poll_s, Generation(ticket.generation_id, "unknown", ticket.model, ticket.mode)
        while True:
            fault = ""
            try:
                seen = yield from self.look(ticket, deadline)
            except (NetworkError, Unavailable, RateLimited) as error:
                fault = f" (the last look failed: {error})"
            else:
                if on_update is not None and seen.status != last.status:
                    on_update(seen)
                last = seen
                if last.is_done:
                    return last
            left_s = deadline.left_s(pause_s * random.uniform(0.8, 1.0))
            if left_s == 0:
                raise StillRunning(
                    f"generation {last.generation_id} is {redacted(last.status)} at the end of the time to wait{fault}"
                    f"; it goes on, and client.job({last.generation_id!r}) takes it up",
                    answers.unsigned(last),
                )
            yield Pause(left_s)
            pause_s = min(pause_s * _POLL_GROWTH, max(_POLL_MAX_S, self._poll_s))

    def balance(self, deadline: Deadline) -> Steps[Balance]:
        """What is left to spend."""
        call = Call("GET /v1/balance", "GET", "/v1/balance", timeout_s=_LOOK_S)
        reply = yield from free(call, deadline)
        try:
            found = answers.balance(json_of(reply))
        except NotJSONError:
            found = None
        if found is None:
            raise unavailable(call, reply, "the answer is no balance")
        return found

    def upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        content_type: str | None,
        on_progress: Progress | None,
        deadline: Deadline,
    ) -> Steps[UploadToken]:
        """A file of the caller's, as a token. Raises FileRefused before anything is sent."""
        body = files.opened(source, content_type)
        try:
            return (yield from self._sent(body, on_progress, deadline))
        finally:
            if isinstance(source, str | os.PathLike):
                body.file.close()

    def download(self, url: str | None, path: Path, on_progress: Progress | None, deadline: Deadline) -> Steps[Path]:
        """Save what is behind a signed URL. Its bearer needs no key, so that none is sent.

        Raises OutputExpired, NotFound, FileRefused and what else a free call raises; ValueError where there is no URL.
        """
        if url is None:
            raise ValueError("this generation has no output")
        if path.is_dir():
            name = PurePosixPath(_output(url, "").path).name
            path /= "output" if name in ("", "..") or {"\\", ":"} & {*name} else name
        for moves in count():
            call = Call(
                "GET output",
                "GET",
                SignedUrl(url),
                has_key=False,
                timeout_s=_FILE_S,
                save_to=path,
                on_progress=on_progress,
            )
            reply = yield from exchange(call, deadline)
            if isinstance(reply, Reply) and reply.status == 200:
                break
            if isinstance(reply, Failure) or reply.status not in (301, 302, 303, 307, 308) or moves == _MOVES:
                raise fault_of(call, reply)
            url = SignedUrl(_output(url, reply.headers.get("location", "")).geturl())
        return path

    def _started(self, order: Order, budget: Budget, deadline: Deadline) -> Steps[tuple[Generation, Ticket]]:
        ready = yield from self._ready(order, deadline)
        for problem in ready.warnings:
            self._warn(problem)
        return (yield from self._charge(ready, budget, deadline))

    def _ready(self, order: Order, deadline: Deadline) -> Steps[Draft]:
        """The bytes that are to be sent. Local files are sent before, once the request is known to be good."""
        request = order.request
        if not order.options.get("upload_files") or not isinstance(request, Mapping):
            return draft(order, self._issued)
        model, mode, params = request.get("model"), request.get("mode"), request.get("params")
        opened: dict[str, FileBody] = {}
        try:
            for path, param in files.local_files(model, mode, params):
                if path not in opened:
                    opened[path] = files.opened(path)
                files.check_kind(opened[path], param)
            judged = files.with_tokens(model, mode, params, dict.fromkeys(opened, _PLACEHOLDER))
            ready = draft(replace(order, request={**request, "params": judged}), {*self._issued, _PLACEHOLDER})
            tokens = {}
            for path, body in opened.items():
                tokens[path] = yield from self._sent(body, None, deadline)
        finally:
            for body in opened.values():
                body.file.close()
        if opened:
            sent = files.with_tokens(model, mode, params, tokens)
            ready = draft(replace(order, request={**request, "params": sent}), self._issued)
        return ready

    def _charge(self, ready: Draft, budget: Budget, deadline: Deadline) -> Steps[tuple[Generation, Ticket]]:
        """Send a paid request, at most once as far as anybody can tell.

        Steps that are cut off while it is under way leave the money set aside: whether it arrived is then unknown.
        """
        call = Call(
            "POST /v1/generate",
            "POST",
            "/v1/generate",
            ready.body,
            "application/json",
            is_paid=True,
            timeout_s=_SUBMIT_S if ready.is_async else SYNC_TIMEOUT_S + _MARGIN_S,
        )
        hold = budget.hold(ready.largest_usd)
        at = datetime.now(UTC)
        try:
            answer = yield from exchange(call, deadline, hold.release)
        except GeneratorExit:
            if not hold.is_settled:
                _log.warning("%s", _unknown_text(ready, at, "it was cut off"))
            raise
        if isinstance(answer, Failure):
            if answer.may_have_arrived:
                raise _unknown(ready, at, answer.reason, None)
            hold.release()
            raise not_sent(call, answer)
        if 400 <= answer.status < 500:
            hold.release()
            raise refused(call, answer)
        generation = _generation(answer) if 200 <= answer.status < 300 else None
        if generation is None:
            unread = " and cannot be read" if 200 <= answer.status < 300 else ""
            raise _unknown(ready, at, f"the answer is {answer.status}{unread}", answer)
        _settle(generation, hold)
        ticket = Ticket(generation.generation_id, generation.model, generation.mode, hold)
        with self._lock:
            self._tickets.setdefault(ticket.generation_id, ticket)
        return generation, ticket

    def _sent(self, body: FileBody, on_progress: Progress | None, deadline: Deadline) -> Steps[UploadToken]:
        """A file, announced and sent."""
        announced = json.dumps({"content_type": body.content_type, "file_name": body.name}).encode()
        call = Call("POST /v1/uploads/initiate", "POST", "/v1/uploads/initiate", announced, "application/json")
        reply = yield from free(call, deadline)
        place = _place(reply)
        if place is None:
            raise unavailable(call, reply, "the answer has no token or no upload_url")
        token, url, content_type = place
        put = Call(
            "PUT upload",
            "PUT",
            url,
            body,
            content_type or body.content_type,
            timeout_s=_FILE_S,
            on_progress=on_progress,
        )
        yield from free(put, deadline)
        if not is_media(token):
            self._issued.add(token)
        return token


def succeeded(generation: Generation) -> Generation:
    """The generation. Raises GenerationFailed for one that failed."""
    if generation.status == "failed":
        raise GenerationFailed(
            f"generation {generation.generation_id} failed; its cost is refunded, as the documentation says",
            answers.unsigned(generation),
        )
    return generation


def _generation(reply: Reply) -> Generation | None:
    fields = answers.generation_fields(_object(reply))
    return None if fields is None else Generation(**fields)


def _output(url: str, location: str) -> SplitResult:
    """The address of an output, or where it has moved to from there. Raises ServiceError for one that is none."""
    try:
        parts = urlsplit(urljoin(url, location))
    except ValueError:
        parts = urlsplit("")
    if parts.scheme not in ("http", "https"):
        raise ServiceError("the output is at no http or https URL")
    return parts


def _object(reply: Reply) -> Mapping[str, Any]:
    """The object of a body; empty for what is none."""
    try:
        value = json_of(reply)
    except NotJSONError:
        return {}
    return value if isinstance(value, dict) else {}


def _place(reply: Reply) -> tuple[UploadToken, SignedUrl, str | None] | None:
    """Token, address and content type of an upload; None where one of the first two is missing."""
    place = _object(reply)
    token, url, content_type = (place.get(name) for name in ("token", "upload_url", "content_type"))
    if not isinstance(token, str) or not isinstance(url, str) or not token or not url:
        return None
    return UploadToken(token), SignedUrl(url), content_type if isinstance(content_type, str) else None


def _settle(generation: Generation, hold: Hold) -> None:
    """Count what a generation cost, once it is done: nothing where it failed, the most where nobody says."""
    if generation.status == "failed":
        hold.release()
    elif generation.is_done:
        # No cost that an answer tells, however wrong, gives anything back.
        hold.settle(hold.largest_usd if generation.cost_usd is None else max(generation.cost_usd, Decimal(0)))


def _unknown(ready: Draft, at: datetime, reason: str, reply: Reply | None) -> OutcomeUnknown:
    return OutcomeUnknown(
        _unknown_text(ready, at, reason),
        reason=reason,
        at=at,
        request_sha256=ready.sha256,
        largest_cost_usd=ready.largest_usd,
        status=None if reply is None else reply.status,
        request_id=None if reply is None else request_id(reply.headers),
    )


def _unknown_text(ready: Draft, at: datetime, reason: str) -> str:
    return (
        f"POST /v1/generate: {reason}. Whether it was accepted and charged is unknown, so it was not sent again. Look "
        f"at the balance and the dashboard for a generation of {at:%Y-%m-%d %H:%M:%S} UTC first (sha256 of the "
        f"request: {ready.sha256[:16]})"
    )
