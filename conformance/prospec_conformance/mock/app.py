"""The API over HTTP: routes, admission, and what each endpoint does with its caller, state and judge.

Here live no verdict on a request (judge.py), no memory (state.py) and no socket (server.py). Whatever a fault or a
variant does otherwise, it does at the seams of one `Change`.
"""

from __future__ import annotations

import asyncio
import json
import logging
import math
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from datetime import UTC, datetime
from decimal import Decimal
from email.utils import formatdate
from functools import cache, lru_cache
from typing import TYPE_CHECKING, Any

from prospec.ir import Spec
from prospec.loader import load
from starlette.applications import Starlette
from starlette.datastructures import QueryParams
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route
from starlette.types import Receive, Scope, Send

from . import outcomes
from .changes import OUTPUT, VIOLATION_HEADER, Answer, Caller, Refusal, combined
from .clock import Clock, SteerableClock
from .config import MockConfig
from .control import Control
from .faults import FAULTS
from .journal import KEPT_BYTES, Journal, Seen
from .judge import Judge, parse, upload_tokens
from .media import TYPES, render
from .outcomes import UnknownWishError, Wish, wished
from .receivers import Receivers
from .refusals import envelope
from .script import Script
from .state import Account, Generation, State, StoreError
from .terms import terms
from .variants import VARIANTS
from .webhooks import Webhooks, event

if TYPE_CHECKING:
    from .store import Store

GENERATE = "/v1/generate"
UNPUBLISHED_COST = Decimal("0.10")
"""What a generation without a published price costs here."""
TRANSPORT = "prospec.transport"
"""Where the server puts the connection of a request, within its scope, for an answer that is none."""
BODY = "prospec.body"
"""Where, within the scope, a body that was read is left for the journal."""
WISH_HEADER = outcomes.HEADER.lower().encode()
RENDERED = 32
"""Outputs that are kept once they are drawn."""
JSON_MAX_BYTES = 1 << 20

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


def create_app(config: MockConfig, spec: Spec | None = None, clock: Clock = time.time) -> Starlette:
    """One mock with a state of its own, for any ASGI server or a transport in process.

    `clock` moves whatever the API promises for later (lifetimes, the rate window, the end of a generation), but not the
    waits of a blocking call and between webhook attempts. Raises ValueError when the state cannot be kept where it
    should.
    """
    mock = _Mock(config, load(trusted=True) if spec is None else spec, clock)
    generate = mock.endpoint("generate", mock.generate)
    app = _Application(
        generate,
        lifespan=mock.lifespan,
        routes=[
            Route(GENERATE, generate, methods=["POST"]),
            Route("/v1/generations/{id}", mock.endpoint("getGeneration", mock.get_generation), methods=["GET"]),
            Route("/v1/uploads/initiate", mock.endpoint("initiateUpload", mock.initiate_upload), methods=["POST"]),
            Route("/v1/uploads/proxy/{token}", mock.endpoint("putUpload", mock.put_upload), methods=["PUT"]),
            Route("/v1/balance", mock.endpoint("getBalance", mock.get_balance), methods=["GET"]),
            Route("/results/{file}", mock.get_output, methods=["GET"]),
            mock.control.mount(),
        ],
        exception_handlers={
            HTTPException: mock.no_endpoint,
            Exception: mock.recover,
        },
    )
    app.router.redirect_slashes = False
    return app


class _Endpoint:
    """A function from a request to its answer, as an application of its own, whatever goes wrong in it."""

    def __init__(
        self,
        respond: Callable[[Request], Awaitable[Response]],
        recover: Callable[[Request, Exception], Awaitable[Response]],
    ) -> None:
        self._respond = respond
        self._recover = recover

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        try:
            response = await self._respond(request)
        except Exception as error:
            response = await self._recover(request, error)
            await response(scope, receive, send)
            if not isinstance(error, ClientDisconnect):
                raise
        else:
            await response(scope, receive, send)


class _Application(Starlette):
    """Starlette, but that the one request that is sent all the time finds its endpoint without it.

    The way through its layers costs as much as all that the mock does for such a request (tests/bench/mock.py).
    """

    def __init__(self, generate: _Endpoint, **options: Any) -> None:
        super().__init__(**options)
        self._generate = generate

    def __call__(  # pyright: ignore[reportIncompatibleMethodOverride] - a coroutine either way
        self, scope: Scope, receive: Receive, send: Send
    ) -> Coroutine[Any, Any, None]:
        if scope["type"] == "http" and scope["path"] == GENERATE and scope["method"] == "POST":
            return self._generate(scope, receive, send)
        return super().__call__(scope, receive, send)


class _Mock:
    def __init__(self, config: MockConfig, spec: Spec, clock: Clock) -> None:
        changes = [FAULTS[id].change for id in FAULTS if id in config.faults]
        changes += [VARIANTS[id].change for id in VARIANTS if id in config.variants]
        self._config = config
        self._spec = spec
        self._change = combined(changes)
        self._judge = Judge(spec, self._change)
        self._clock = SteerableClock(clock, is_scripted=config.seed is not None)
        self._store = _store(config)
        self._terms = self._change.terms(terms(spec.service, config))
        self._memory: dict[str, Any] = {}
        self._state = State(spec, config, self._terms, self._change, self._clock, self._store)
        self._script = Script(config.outcomes, self._state.counts)
        self._journal = Journal()
        self._webhooks = Webhooks(
            spec.service.webhook.header,
            config.webhook_secret,
            self._terms,
            self._change,
            self._clock,
            self._state,
            Receivers(config.webhook_hosts),
            describe=lambda generation: event(self._shown(generation), _time(self._clock())),
            memory=self._memory,
        )
        self._is_resumed = False
        self.control = Control(
            config.control_token, self._clock, self._state, self._journal, self._webhooks, self._resume
        )

    @asynccontextmanager
    async def lifespan(self, _app: Starlette) -> AsyncIterator[None]:
        self._resume()
        yield
        if self._store is not None:
            self._store.close()

    def _resume(self) -> None:
        """Takes up what an earlier process left under way, once; also where nobody tells of the start."""
        if not self._is_resumed:
            self._is_resumed = True
            for delivery in self._state.open_deliveries():
                self._webhooks.begin(delivery)

    def endpoint(self, operation: str, handle: Handler) -> _Endpoint:
        """What every endpoint does around its own work."""

        async def respond(request: Request) -> Response:
            self._resume()
            self._clock.request()
            admitted, headers = self._admit(operation, request)
            outcome: Outcome
            try:
                if isinstance(admitted, Refusal) and self._change.checks_key_last(operation):
                    admitted = await self._fault_of(operation, request) or admitted
                outcome = admitted if isinstance(admitted, Refusal) else await handle(request, admitted)
            except asyncio.CancelledError:  # the server ends, and nothing else cancels: whoever still waits is told
                outcome = Refusal(500, "The server is shutting down.")
            try:
                self._state.keep()
            except StoreError as error:
                log.error("%s", error)
                outcome = Refusal(500, "The mock cannot keep its state.")
            account = None if isinstance(admitted, Refusal) else admitted
            name = "" if account is None else account.name
            response = outcome if isinstance(outcome, Response) else self._respond(operation, outcome, headers, name)
            self._note(request, account, response)
            return response

        return _Endpoint(respond, self.recover)

    def _note(self, request: Request, account: Account | None, response: Response) -> None:
        self._journal.note(
            Seen(
                number=self._journal.number(),
                at=self._clock(),
                method=request.method,
                path=request.scope["path"],
                account=None if account is None else account.name,
                body=request.scope.get(BODY, b"")[:KEPT_BYTES],
                status=0 if isinstance(response, NoAnswer) else response.status_code,
                violation=None if response.status_code < 400 else response.headers.get(VIOLATION_HEADER),
            )
        )

    def _admit(self, operation: str, request: Request) -> tuple[Account | Refusal, dict[str, str]]:
        """The key first of all, then the rate limit: the account or a refusal, and the headers of the answer."""
        authorization = _header(request, b"authorization")
        account = self._state.account(_bearer(authorization))
        caller = Caller(operation, authorization, self._state.keys, request)
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

    async def _fault_of(self, operation: str, request: Request) -> Refusal | None:
        """What is wrong with a request apart from its key, as far as looking at it tells."""
        match operation:
            case "generate":
                return self._judge.generate(await _json(request))
            case "initiateUpload":
                return self._judge.initiate(await _json(request))
            case "getGeneration" if self._state.generation(self._state.first, request.path_params["id"]) is None:
                return Refusal(404, "There is no generation of this id.")
            case "putUpload" if self._state.upload(request.path_params["token"]) is None:
                return Refusal(404, "There is no upload of this token.")
            case _:
                return None

    async def generate(self, request: Request, account: Account) -> Outcome:
        value = self._change.request(self._spec, await _json(request))
        refusal = self._judge.generate(value)
        if refusal:
            return refusal
        switch = _switch(request.scope["query_string"])
        if switch not in ("true", "false"):
            return Refusal(400, "async in the query takes true or false.", "type", "/async")
        model = self._spec.model(value["model"])
        assert model, "the judge lets no unknown one pass"
        mode = model.mode(value.get("mode"))
        assert mode, "the judge lets no unknown one pass"
        for pointer, token in upload_tokens(self._spec, mode, value["params"]):
            upload = self._state.upload(token)
            redeems = self._state.is_open(upload, account) and upload is not None and upload.done
            if not self._change.redeems(account, upload, redeems):
                return Refusal(400, f"{pointer} is not an upload of this account, or has expired.", "media", pointer)

        try:
            wish = wished(_header(request, WISH_HEADER), value["params"].get("prompt"))
        except UnknownWishError as error:
            return Refusal(400, str(error))
        if wish == outcomes.NONE:
            wish = self._script.outcome(model.id, mode.id, account.name) or wish
        if wish.status is not None:
            return Refusal(wish.status, f"The request asked the mock for a {wish.status}.")
        lasts_s = self._change.lasts_s(value, self._config.processing_s if wish.lasts_s is None else wish.lasts_s)
        generation = self._state.start(
            account,
            self._change.identify(self._state.names.fresh("generation", self._spec.service.generation_prefix, 8)),
            model,
            mode,
            self._change.costs(value, _cost(value)),
            params=value["params"],
            base_url=_base_url(request),
            fails=wish.fails,
            lasts_s=lasts_s,
        )
        if generation is None:
            return Refusal(403, "Insufficient balance. Please top up to continue.")
        url = value.get("webhook_url") or self._config.webhook_url
        if url is not None:
            self._webhooks.begin(self._state.expect(generation, url, wish.webhook))
        is_async = self._change.is_async(value, value.get("async") is True or switch == "true")
        return await self._accepted(generation, wish, is_async=is_async)

    async def _accepted(self, generation: Generation, wish: Wish, *, is_async: bool) -> Outcome:
        """What the caller of a generation that has begun is told."""
        match wish.after:
            case "drop":
                return NoAnswer()
            case "500":
                self._state.end(generation)
                return Refusal(500, "The request asked the mock to accept it, to refund it and to answer 500.")
            case "504":
                return Refusal(504, "The request asked the mock to accept it, and to answer 504.")
        if is_async:
            return _identity(generation, "queued") | {
                "created_at": _time(generation.started),
                "poll_url": f"{generation.base_url}v1/generations/{generation.id}",
            }
        self._state.keep()  # what is charged is kept, also when the process ends before the answer
        lasts_s, timeout_s = generation.ends - generation.started, self._terms.sync_timeout_s
        await self._clock.spend(min(lasts_s, timeout_s))
        if lasts_s > timeout_s:
            self._state.give_up(generation)
            return Refusal(504, f"The generation takes longer than {timeout_s} s. Use the asynchronous form.")
        self._state.end(generation)
        return self._shown(generation)

    async def get_generation(self, request: Request, account: Account) -> Outcome:
        generation = self._state.generation(account, request.path_params["id"])
        if generation is None:
            return Refusal(404, "There is no generation of this id.")
        if self._change.is_gone(generation, self._state.has_expired(generation) and not generation.fails):
            return Refusal(410, "The output of this generation is no longer kept.")
        return self._shown(generation)

    async def initiate_upload(self, request: Request, account: Account) -> Outcome:
        value = self._change.announcement(await _json(request))
        refusal = self._judge.initiate(value)
        if refusal:
            return refusal
        content_type = value["content_type"]
        sizes = [each.max_bytes for each in self._spec.service.uploads.kinds if content_type in each.content_types]
        unlisted = Refusal(400, "Files of this content type cannot be uploaded.", "enum", "/content_type")
        refusal = self._change.announces(content_type, None if sizes else unlisted)
        if refusal:
            return refusal
        max_bytes = self._change.max_bytes(content_type, sizes[0] if sizes else JSON_MAX_BYTES)
        upload = self._state.initiate(account, content_type, max_bytes)
        return {
            "token": upload.token,
            "upload_url": self._change.upload_url(str(request.base_url), f"/v1/uploads/proxy/{upload.token}"),
            "content_type": upload.content_type,
        }

    async def put_upload(self, request: Request, account: Account) -> Outcome:
        upload = self._state.upload(request.path_params["token"])
        may_put = self._change.may_put(account, upload, self._state.is_open(upload, account))
        if not may_put:
            return Refusal(404, "There is no upload of this token.")
        if upload is None:
            return {"status": "uploaded", "bytes": sum([len(chunk) async for chunk in request.stream()])}
        content_type = _media_type(request)
        if not self._change.takes(upload, content_type, content_type == upload.content_type):
            return Refusal(400, f"The upload was announced as {upload.content_type}.")
        try:
            size = await _receive(request, upload.max_bytes)
        except TooLargeError:
            return Refusal(400, f"The file is larger than {upload.max_bytes} bytes.")
        self._state.uploaded(upload)
        return {"status": "uploaded", "bytes": size}

    async def get_balance(self, _request: Request, account: Account) -> Outcome:
        balance = self._change.balance(account, self._state.accounts, account.balance)
        return {"balance_usd": float(balance), "currency": "USD"}

    async def get_output(self, request: Request) -> Response:
        """The file behind an `output_url`: whoever holds the URL needs no key."""
        id, _, format = request.path_params["file"].rpartition(".")
        self._state.settle()
        generation = self._state.output(id, request.query_params.get("token", ""))
        drawing = None if generation is None else self._change.draws(generation.drawing)
        if generation is None or drawing is None or drawing.format != format:
            return self._respond("", Refusal(404, "There is no output of this URL."))
        if self._state.has_expired(generation):
            return self._respond("", Refusal(410, "The output of this generation is no longer kept."))
        try:
            content = await asyncio.to_thread(_rendered, drawing)
        except ModuleNotFoundError:
            return self._respond("", Refusal(501, "Outputs are drawn with an extra: pip install 'prospec[media]'."))
        now = self._clock()
        headers = {"Content-Type": TYPES[format], "Date": _date(int(now))}
        answer = self._change.answer(Answer(OUTPUT, 200, content, headers, now, self._memory))
        return Response(_bytes(answer.body), answer.status, answer.headers)

    async def no_endpoint(self, _request: Request, error: Exception) -> Response:
        """No such route, or no such method on it."""
        status = error.status_code if isinstance(error, HTTPException) else 404
        headers = error.headers if isinstance(error, HTTPException) else None
        message = "This endpoint does not take this method." if status == 405 else "There is no such endpoint."
        return self._respond("", Refusal(status, message), headers or {})

    async def recover(self, _request: Request, error: Exception) -> Response:
        """The client left before its body was read, and nobody will see this; or a fault of ours.

        The server prints the traceback of that one; the client learns no more than this.
        """
        if isinstance(error, ClientDisconnect):
            return self._respond("", Refusal(400, "The body ended early."))
        return self._respond("", Refusal(500, "Unexpected server error."))

    def _respond(
        self,
        operation: str,
        outcome: dict[str, Any] | Refusal,
        headers: Mapping[str, str] | None = None,
        account: str = "",
    ) -> Response:
        headers, status = dict(headers or {}), 200
        body: object = outcome
        if isinstance(outcome, Refusal):
            status = outcome.status
            body = envelope(status, outcome.message)
            if outcome.keyword:
                headers[VIOLATION_HEADER] = f"{outcome.keyword} {outcome.pointer}".rstrip()
        now = self._clock()
        headers = {"Content-Type": "application/json", "Date": _date(int(now)), **headers}
        answer = self._change.answer(Answer(operation, status, body, headers, now, self._memory, account))
        return Response(_bytes(answer.body), answer.status, answer.headers)

    def _shown(self, generation: Generation) -> dict[str, Any]:
        """A generation as it stands. What the samples of unfinished and failed ones lack is left out (GAP-26)."""
        status = self._state.status(generation)
        body = _identity(generation, status)
        if status != "completed":
            return body
        file = f"{generation.id}.{self._change.draws(generation.drawing).format}"
        return body | {
            "output_url": f"{generation.base_url}results/{file}?token={generation.download}",
            "cost_usd": float(generation.cost),
            "duration_ms": round(1000 * (generation.ends - generation.started)),
        }


_rendered = lru_cache(RENDERED)(render)


def _store(config: MockConfig) -> Store | None:
    if config.state is None:
        return None
    from .store import Store

    return Store(config.state)


def _bearer(authorization: str | None) -> str:
    """The key of an Authorization header; empty, which no key is, where it is not of the Bearer scheme."""
    scheme, _, key = (authorization or "").partition(" ")
    return key.strip() if scheme.lower() == "bearer" else ""


def _base_url(request: Request) -> str:
    """Where the caller reached the mock, as it says itself."""
    scope = request.scope
    host = _header(request, b"host") or "{}:{}".format(*scope["server"])
    return f"{scope['scheme']}://{host}{scope.get('root_path', '')}/"


async def _json(request: Request) -> Any:
    """The JSON value of the body, or a Refusal."""
    try:
        chunks: list[bytes] = []
        await _receive(request, JSON_MAX_BYTES, chunks.append)
        request.scope[BODY] = body = chunks[0] if len(chunks) == 1 else b"".join(chunks)
        return parse(body)
    except TooLargeError:
        return Refusal(413, f"The body is larger than {JSON_MAX_BYTES} bytes.")


async def _receive(request: Request, max_bytes: int, take: Callable[[bytes], object] = len) -> int:
    """Gives the body to `take`, chunk by chunk, and no further than the limit; how many bytes it was.

    Raises TooLargeError beyond the limit, unread if the request says so; ClientDisconnect where the body ends early.
    """
    claimed = _header(request, b"content-length") or ""
    if claimed.isdigit() and int(claimed) > max_bytes:
        raise TooLargeError
    size, more = 0, True
    while more:
        # What Starlette's `stream` does, without a generator: that costs as much as to read the JSON in it.
        message = await request.receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > max_bytes:
            raise TooLargeError
        take(chunk)
        more = message.get("more_body", False)
    return size


def _header(request: Request, name: bytes) -> str | None:
    """The first header of a name in lower case. Several times as quick as Starlette's mapping of them."""
    for each, value in request.scope["headers"]:
        if each == name:
            text: str = value.decode("latin-1")
            return text
    return None


@lru_cache
def _switch(query: bytes) -> str:
    """The `async` of a query."""
    return QueryParams(query).get("async", "false")


def _media_type(request: Request) -> str:
    return (_header(request, b"content-type") or "").partition(";")[0].strip().lower()


def _cost(request: Mapping[str, Any]) -> Decimal:
    """What a request costs here. Rows that do not bind let any duration pass: none earns money or ends in a 500."""
    try:
        cost = _published()(request)
    except ArithmeticError:
        cost = None
    return cost if cost is not None and cost >= 0 else UNPUBLISHED_COST


@cache
def _published() -> Callable[[Mapping[str, Any]], Decimal | None]:
    from prospo.price import cost_usd  # the catalog behind it takes its time, and a mock is to start fast

    return cost_usd


def _identity(generation: Generation, status: str) -> dict[str, Any]:
    return {
        "generation_id": generation.id,
        "status": status,
        "model": generation.model.id,
        "mode": generation.mode.id,
    }


def _time(seconds: float) -> str:
    """As in the documentation's samples: UTC, milliseconds, Z."""
    whole, millis = divmod(int(seconds * 1000), 1000)
    return f"{_second(whole)}.{millis:03d}Z"


@lru_cache(16)
def _second(seconds: int) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%dT%H:%M:%S")


@lru_cache(1)
def _date(seconds: int) -> str:
    """As in the header Date: by the mock's clock, so that a moved one shows."""
    return formatdate(seconds, usegmt=True)


_encode = json.JSONEncoder(separators=(",", ":")).encode


def _bytes(body: object) -> bytes:
    return body if isinstance(body, bytes) else _encode(body).encode()
