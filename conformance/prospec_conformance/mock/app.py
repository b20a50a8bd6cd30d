"""The API over HTTP: routes, admission, and what each endpoint does with its caller, state and judge.

Here live no verdict on a request (judge.py), no memory (state.py) and no socket (server.py). Whatever a fault or a
variant does otherwise, it does at the seams of one `Change`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import secrets
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import suppress
from datetime import UTC, datetime
from decimal import Decimal
from functools import lru_cache
from typing import Any

from prospec.ir import Spec
from prospo.price import cost_usd
from starlette.applications import Starlette
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import outcomes, webhooks
from .changes import VIOLATION_HEADER, Answer, Caller, Refusal, combined
from .clock import Clock, SteerableClock
from .config import MockConfig
from .control import Control
from .faults import FAULTS
from .journal import KEPT_BYTES, Delivery, Journal, Seen
from .judge import Judge, parse, upload_tokens
from .media import TYPES, drawing, render
from .outcomes import UnknownWishError, Wish, wished
from .state import Account, Generation, State
from .variants import VARIANTS

UNPUBLISHED_COST = Decimal("0.10")
"""What a generation without a published price costs here."""
LATE_S = 60.0
"""How late a webhook is that is to be late, and how long one waits at the most for the one that is to overtake it."""
TRANSPORT = "prospec.transport"
"""Where the server puts the connection of a request, within its scope, for an answer that is none."""
RENDERED = 32
"""Outputs that are kept once they are drawn."""
JSON_MAX_BYTES = 1 << 20
DRAIN_MAX_BYTES = 64_000_000
"""How much of a body is read although it is refused: a sender that is cut off sees a broken pipe, not the refusal."""
CODES: Mapping[int, str] = {
    400: "invalid_request",
    401: "unauthorized",
    403: "insufficient_balance",
    404: "not_found",
    405: "method_not_allowed",
    410: "output_expired",
    413: "body_too_large",
    429: "rate_limit_exceeded",
    500: "internal_error",
    501: "not_installed",
    504: "timeout",
}

Outcome = dict[str, Any] | Refusal | Response
Handler = Callable[[Request, Account], Awaitable[Outcome]]

log = logging.getLogger(__name__)


class TooLargeError(Exception):
    """A body is longer than its endpoint takes."""


class NoAnswer(Response):
    """Closes the connection instead of answering."""

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:  # noqa: ARG002 - ASGI's own three
        transport = scope.get(TRANSPORT)
        if transport is None:
            raise ConnectionAbortedError("the mock was asked to give no answer")
        transport.abort()
        # The server learns of it in its next turn, and is then not surprised that nothing was sent.
        for _ in range(3):
            await asyncio.sleep(0)


def create_app(config: MockConfig, spec: Spec, clock: Clock) -> Starlette:
    """One mock with a state of its own."""
    mock = _Mock(config, spec, clock)
    app = Starlette(
        routes=[
            Route("/v1/generate", mock.endpoint("generate", mock.generate), methods=["POST"]),
            Route("/v1/generations/{id}", mock.endpoint("getGeneration", mock.get_generation), methods=["GET"]),
            Route("/v1/uploads/initiate", mock.endpoint("initiateUpload", mock.initiate_upload), methods=["POST"]),
            Route("/v1/uploads/proxy/{token}", mock.endpoint("putUpload", mock.put_upload), methods=["PUT"]),
            Route("/v1/balance", mock.endpoint("getBalance", mock.get_balance), methods=["GET"]),
            Route("/results/{file}", mock.get_output, methods=["GET"]),
            mock.control.mount(),
        ],
        exception_handlers={
            HTTPException: mock.no_endpoint,
            ClientDisconnect: mock.gone,
            Exception: mock.broken,
        },
    )
    app.router.redirect_slashes = False
    return app


class _Mock:
    def __init__(self, config: MockConfig, spec: Spec, clock: Clock) -> None:
        changes = [FAULTS[id].change for id in FAULTS if id in config.faults]
        changes += [VARIANTS[id].change for id in VARIANTS if id in config.variants]
        self._config = config
        self._spec = spec
        self._change = combined(changes)
        self._judge = Judge(spec, self._change)
        self._clock = SteerableClock(clock)
        self._state = State(spec.service, config, self._clock)
        self._journal = Journal()
        self._tasks: set[asyncio.Task[None]] = set()
        self._rendered = lru_cache(RENDERED)(render)
        self._overtaking = asyncio.Event()
        """Set whenever an event has gone out: the one that waits to be overtaken may follow."""
        self.control = Control(config.control_token, self._clock, self._state, self._journal, self._replay, self._reset)

    def endpoint(self, operation: str, handle: Handler) -> Callable[[Request], Awaitable[Response]]:
        """What every endpoint does around its own work."""

        async def respond(request: Request) -> Response:
            admitted, headers = self._admit(operation, request.headers.get("authorization"))
            outcome: Outcome
            try:
                outcome = admitted if isinstance(admitted, Refusal) else await handle(request, admitted)
                if isinstance(outcome, Refusal):
                    await _drain(request)
            except asyncio.CancelledError:  # the server ends, and nothing else cancels: whoever still waits is told
                outcome = Refusal(500, "The server is shutting down.")
            response = outcome if isinstance(outcome, Response) else self._respond(operation, outcome, headers)
            self._note(request, None if isinstance(admitted, Refusal) else admitted, response)
            return response

        return respond

    def _note(self, request: Request, account: Account | None, response: Response) -> None:
        self._journal.requests.append(
            Seen(
                number=self._journal.number(),
                at=self._clock(),
                method=request.method,
                path=request.url.path,
                account=None if account is None else account.name,
                body=getattr(request.state, "body", b"")[:KEPT_BYTES],
                status=0 if isinstance(response, NoAnswer) else response.status_code,
                violation=response.headers.get(VIOLATION_HEADER),
            )
        )

    def _admit(self, operation: str, authorization: str | None) -> tuple[Account | Refusal, dict[str, str]]:
        """The key first of all, then the rate limit: the account or a refusal, and the headers of the answer."""
        account = self._state.account(_bearer(authorization))
        caller = Caller(operation, authorization, self._state.keys)
        if not self._change.admits(caller, account is not None):
            return Refusal(401, "A valid API key as Bearer token is required."), {}
        account = account or self._state.first
        self._state.settle()
        window = self._state.count(account)
        headers = {
            "X-RateLimit-Limit": str(window.limit),
            "X-RateLimit-Remaining": str(window.remaining),
            "X-RateLimit-Reset": str(math.ceil(window.reset_s)),
        }
        return account if window.allowed else Refusal(429, "Rate limit exceeded. Try again later."), headers

    async def generate(self, request: Request, account: Account) -> Outcome:
        value = self._change.request(self._spec, await _json(request))
        refusal = self._judge.generate(value)
        if refusal:
            return refusal
        if (switch := request.query_params.get("async", "false")) not in ("true", "false"):
            return Refusal(400, "async in the query takes true or false.", "type", "/async")
        model = self._spec.model(value["model"])
        assert model, "the judge lets no unknown one pass"
        mode = model.mode(value.get("mode"))
        assert mode, "the judge lets no unknown one pass"
        for pointer, token in upload_tokens(self._spec, mode, value["params"]):
            if not self._state.redeems(account, token):
                return Refusal(400, f"{pointer} is not an upload of this account, or has expired.", "media", pointer)

        try:
            wish = wished(request.headers.get(outcomes.HEADER), value["params"].get("prompt"))
        except UnknownWishError as error:
            return Refusal(400, str(error))
        if wish.status is not None:
            return Refusal(wish.status, f"The request asked the mock for a {wish.status}.")
        id = self._change.identify(self._spec.service.generation_prefix + secrets.token_hex(8))
        lasts_s = self._config.processing_s if wish.lasts_s is None else wish.lasts_s
        timeout_s = self._spec.service.sync_timeout_s
        generation = self._state.start(
            account,
            id,
            model,
            mode,
            _cost(value),
            drawing=drawing(model, mode, value["params"]),
            base_url=str(request.base_url),
            fails=wish.fails,
            lasts_s=lasts_s,
        )
        if generation is None:
            return Refusal(403, "Insufficient balance. Please top up to continue.")
        if value.get("webhook_url") is not None:
            self._spawn(self._tell_at_end(generation, value["webhook_url"], wish))
        if wish.after == "drop":
            return NoAnswer()
        if wish.after == "504":
            return Refusal(504, "The request asked the mock to accept it, and to answer 504.")
        if value.get("async") is True or switch == "true":
            return _identity(generation, "queued") | {
                "created_at": _time(generation.started),
                "poll_url": f"{generation.base_url}v1/generations/{generation.id}",
            }
        await self._clock.sleep(min(lasts_s, timeout_s))
        if lasts_s > timeout_s:
            return Refusal(504, f"The generation takes longer than {timeout_s} s. Use the asynchronous form.")
        self._state.end(generation)
        return self._shown(generation)

    async def get_generation(self, request: Request, account: Account) -> Outcome:
        generation = self._state.generation(account, request.path_params["id"])
        if generation is None:
            return Refusal(404, "There is no generation of this id.")
        if self._state.has_expired(generation) and not generation.fails:
            return Refusal(410, "The output of this generation is no longer kept.")
        return self._shown(generation)

    async def initiate_upload(self, request: Request, account: Account) -> Outcome:
        value = await _json(request)
        refusal = self._judge.initiate(value)
        if refusal:
            return refusal
        for kind in self._spec.service.uploads.kinds:
            if value["content_type"] in kind.content_types:
                upload = self._state.initiate(account, kind, value["content_type"])
                return {
                    "token": upload.token,
                    "upload_url": f"/v1/uploads/proxy/{upload.token}",
                    "content_type": upload.content_type,
                }
        return Refusal(400, "Files of this content type cannot be uploaded.", "enum", "/content_type")

    async def put_upload(self, request: Request, account: Account) -> Outcome:
        upload = self._state.upload(account, request.path_params["token"])
        if upload is None:
            return Refusal(404, "There is no upload of this token.")
        if _media_type(request) != upload.content_type:
            return Refusal(400, f"The upload was announced as {upload.content_type}.")
        size = 0
        try:
            async for chunk in _received(request, upload.max_bytes):
                size += len(chunk)
        except TooLargeError:
            return Refusal(400, f"The file is larger than {upload.max_bytes} bytes.")
        self._state.uploaded(upload)
        return {"status": "uploaded", "bytes": size}

    async def get_balance(self, _request: Request, account: Account) -> Outcome:
        return {"balance_usd": float(account.balance), "currency": "USD"}

    async def get_output(self, request: Request) -> Response:
        """The file behind an `output_url`: whoever holds the URL needs no key."""
        id, _, format = request.path_params["file"].rpartition(".")
        self._state.settle()
        generation = self._state.output(id, request.query_params.get("token", ""))
        if generation is None or generation.drawing.format != format:
            return self._respond("", Refusal(404, "There is no output of this URL."))
        if self._state.has_expired(generation):
            return self._respond("", Refusal(410, "The output of this generation is no longer kept."))
        try:
            content = await asyncio.to_thread(self._rendered, generation.drawing)
        except ModuleNotFoundError:
            return self._respond("", Refusal(501, "Outputs are drawn with an extra: pip install 'prospec[media]'."))
        return Response(content, media_type=TYPES[format])

    async def no_endpoint(self, _request: Request, error: Exception) -> Response:
        """No such route, or no such method on it."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        headers = error.headers if isinstance(error, HTTPException) else None
        message = "This endpoint does not take this method." if status == 405 else "There is no such endpoint."
        return self._respond("", Refusal(status, message), headers or {})

    async def gone(self, _request: Request, _error: Exception) -> Response:
        """The client left before its body was read; nobody will see this."""
        return self._respond("", Refusal(400, "The body ended early."))

    async def broken(self, _request: Request, _error: Exception) -> Response:
        """A fault of ours. The server prints the traceback; the client learns no more than this."""
        return self._respond("", Refusal(500, "Unexpected server error."))

    def _respond(
        self, operation: str, outcome: dict[str, Any] | Refusal, headers: Mapping[str, str] | None = None
    ) -> Response:
        headers, status = dict(headers or {}), 200
        body: object = outcome
        if isinstance(outcome, Refusal):
            status = outcome.status
            body = {
                "code": CODES.get(status, CODES[400]),
                "message": outcome.message,
                "detail": outcome.message,
            }
            if outcome.keyword:
                headers[VIOLATION_HEADER] = f"{outcome.keyword} {outcome.pointer}".rstrip()
        answer = self._change.answer(
            Answer(operation, status, body, {"Content-Type": "application/json", **headers}, self._state.now())
        )
        return Response(_bytes(answer.body), answer.status, answer.headers)

    def _shown(self, generation: Generation) -> dict[str, Any]:
        """A generation as it stands. What the samples of unfinished and failed ones lack is left out (GAP-26)."""
        status = self._state.status(generation)
        body = _identity(generation, status)
        if status != "completed":
            return body
        file = f"{generation.id}.{generation.drawing.format}"
        return body | {
            "output_url": f"{generation.base_url}results/{file}?token={generation.download}",
            "cost_usd": float(generation.cost),
            "duration_ms": round(1000 * (generation.ends - generation.started)),
        }

    def _spawn(self, work: Coroutine[Any, Any, None]) -> None:
        """The event loop holds tasks weakly, so they are held here."""
        task = asyncio.get_running_loop().create_task(work)
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    async def _tell_at_end(self, generation: Generation, url: str, wish: Wish) -> None:
        await self._clock.sleep(generation.ends - generation.started)
        self._state.end(generation)
        if wish.webhook == "none":
            return
        body = webhooks.event(self._shown(generation), _time(self._clock()))
        delivery = Delivery(
            self._journal.number(), generation.id, url, body, webhooks.sign(body, self._config.webhook_secret)
        )
        self._journal.deliveries.append(delivery)
        # The URL itself may hold a secret of the receiver's, so no line shows it.
        if not webhooks.is_deliverable(url):
            delivery.state = "refused"
            log.warning("webhook of %s: not delivered, its host is not on loopback", generation.id)
            return
        if wish.webhook == "late":
            await self._clock.sleep(LATE_S)
        if wish.webhook == "reordered":
            await self._overtaken()
        await self._deliver(delivery)
        if wish.webhook == "duplicate":
            await self._deliver(delivery)

    async def _overtaken(self) -> None:
        """Until another event has gone out, but not for ever."""
        self._overtaking.clear()
        waits = [asyncio.ensure_future(self._overtaking.wait()), asyncio.ensure_future(self._clock.sleep(LATE_S))]
        try:
            await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
        finally:
            for wait in waits:
                wait.cancel()

    async def _deliver(self, delivery: Delivery, retry_after_s: tuple[int, ...] | None = None) -> None:
        service = self._spec.service.webhook
        retries = service.retry_after_s if retry_after_s is None else retry_after_s
        headers = {"Content-Type": "application/json", service.header: delivery.signature}
        await webhooks.deliver(delivery, headers, retries, self._clock)
        self._overtaking.set()
        if delivery.state == "failed":
            log.warning("webhook of %s: given up after %d retries", delivery.generation_id, len(retries))

    def _reset(self) -> None:
        for task in self._tasks:
            task.cancel()
        self._state.reset()
        self._journal.clear()

    async def _replay(self, delivery: Delivery) -> None:
        """Once more, the same bytes, and no ladder after it."""
        await self._deliver(delivery, ())


def _bearer(authorization: str | None) -> str:
    """The key of an Authorization header; empty, which no key is, where it is not of the Bearer scheme."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


async def _json(request: Request) -> Any:
    """The JSON value of the body, or a Refusal."""
    try:
        request.state.body = b"".join([chunk async for chunk in _received(request, JSON_MAX_BYTES)])
        return parse(request.state.body)
    except TooLargeError:
        return Refusal(413, f"The body is larger than {JSON_MAX_BYTES} bytes.")


async def _received(request: Request, max_bytes: int) -> AsyncIterator[bytes]:
    """The body, chunk by chunk, and no further than the limit. Raises TooLargeError beyond it."""
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError
        yield chunk


async def _drain(request: Request) -> None:
    """Reads and drops what is left of a body, within reason."""
    size = 0
    # A body that was read to its end raises RuntimeError.
    with suppress(RuntimeError):
        async for chunk in request.stream():
            size += len(chunk)
            if size > DRAIN_MAX_BYTES:
                return


def _media_type(request: Request) -> str:
    return request.headers.get("content-type", "").partition(";")[0].strip().lower()


def _cost(request: Mapping[str, Any]) -> Decimal:
    """What a request costs here. Rows that do not bind let any duration pass: none earns money or ends in a 500."""
    try:
        cost = cost_usd(request)
    except ArithmeticError:
        cost = None
    return cost if cost is not None and cost >= 0 else UNPUBLISHED_COST


def _identity(generation: Generation, status: str) -> dict[str, Any]:
    return {
        "generation_id": generation.id,
        "status": status,
        "model": generation.model.id,
        "mode": generation.mode.id,
    }


def _time(seconds: float) -> str:
    """As in the documentation's samples: UTC, milliseconds, Z."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else json.dumps(body, separators=(",", ":")).encode()
