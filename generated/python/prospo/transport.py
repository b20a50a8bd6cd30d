"""Carries steps out over httpx2, blocking or not. The only module that knows of httpx2.

An exception of httpx2 or of the network becomes a Failure here, and is let go of: chained to an error of ours it would
carry frames whose local variables hold the key. Here lives no decision on what to send, or on sending it again.
"""

from __future__ import annotations

import asyncio
import contextvars
import logging
import os
import threading
from collections.abc import Iterator
from queue import Empty, SimpleQueue
from typing import Any, TypeVar, cast
from urllib.parse import urljoin, urlsplit

from .errors import NotConfigured, ProspoError, bare
from .exchange import ANSWER_MAX_BYTES, Call, Failure, Pause, Reply, Steps
from .files import CallbackError, FileBody, LocalFileError, Saving
from .secrecy import Secret, redacted
from .service import BASE_URL

try:
    import httpx2
except ModuleNotFoundError:
    raise ImportError("the client needs httpx2: pip install 'prospec[client]'", name="httpx2") from None

Done = TypeVar("Done")
_log = logging.getLogger("prospo")
_log.addHandler(logging.NullHandler())  # a program that sets no logging up is shown none
_CONNECT_S = 10.0
_NEVER_CONNECTED = (
    httpx2.ConnectError,
    httpx2.ConnectTimeout,
    httpx2.PoolTimeout,
    httpx2.ProxyError,
    httpx2.UnsupportedProtocol,
)
"""These are raised before a connection is there: no such name, refused, TLS, no free connection, no tunnel."""


class Stopped(BaseException):
    """Steps were ended by their `stop`."""


class TooLateError(Exception):
    """The time for the whole of a call is over."""


class TooLongError(Exception):
    """An answer goes on for longer than any answer of this API."""


class _Cleared(logging.Filter):
    """Clears what httpx2 and, of headers, httpcore2 log of tokens and queries."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple) and record.args:
            cleared = (redacted(str(each)) if isinstance(each, httpx2.URL) else each for each in record.args)
            record.args = tuple(cleared)
        else:
            record.msg = redacted(str(record.msg))
        return True


_cleared = _Cleared()
_CHATTY = ("httpx2", *(f"httpcore2.{each}" for each in ("connection", "http11", "http2", "proxy", "socks")))
"""Loggers, each by its name: a filter sees nothing of the loggers below its own."""


class Endpoint:
    """Where calls go, and with which key: what both drivers share."""

    def __init__(self, base_url: str, key: Secret) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key
        for name in _CHATTY:
            logging.getLogger(name).addFilter(_cleared)

    def request(self, http: httpx2.Client | httpx2.AsyncClient, call: Call, content: Any) -> httpx2.Request:
        """A call as httpx2 sends it, with the key where it may have it."""
        url = urljoin(f"{self.base_url}/", call.url.lstrip("/") if call.url.startswith("/v1/") else call.url)
        headers = {"Accept": "*/*" if call.save_to else "application/json"}
        if call.has_key and origin(url) == origin(self.base_url):
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        if call.content_type is not None:
            headers["Content-Type"] = call.content_type
        if call.body is not None:
            headers["Content-Length"] = str(call.body.size if isinstance(call.body, FileBody) else len(call.body))
        # Less than the whole, so that what never connected is known to be that.
        connect_s = min(_CONNECT_S, 0.8 * call.timeout_s)
        timeout = httpx2.Timeout(call.timeout_s, connect=connect_s, pool=connect_s)
        request = http.build_request(call.method, url, headers=headers, content=content, timeout=timeout)
        if "Authorization" not in headers:
            request.headers.pop("Authorization", None)  # that of a client of the caller's
        return request

    def failure(self, call: Call, error: BaseException) -> Failure:
        """What an exception means for a call."""
        if isinstance(error, LocalFileError):
            return Failure(str(error), may_have_arrived=True, is_local=True)
        if isinstance(error, TimeoutError | TooLateError | httpx2.ReadTimeout | httpx2.WriteTimeout):
            reason = f"no whole answer within {call.timeout_s:.3g} s"
        else:
            text = str(error).rstrip(".") or "the connection ended"
            reason = redacted(f"{type(error).__name__}: {text}", self._key.reveal())
        return Failure(reason, not isinstance(error, _NEVER_CONNECTED))

    def reply(self, response: httpx2.Response, body: bytes) -> Reply:
        """An answer whose text repeats the key to nobody."""
        key = self._key.reveal().encode()
        return Reply(response.status_code, dict(response.headers.items()), body.replace(key, b"***"))


def origin(url: str) -> tuple[str, str | None, int | None]:
    """Scheme, host and port, which decide who may see the key."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or {"http": 80, "https": 443}.get(parts.scheme)


def endpoint(key: Secret | None, base_url: str | None) -> Endpoint:
    """Where to, and with which key: as given, or else by the environment. Raises NotConfigured."""
    key = key or Secret(os.environ.get("PROSPOLABS_API_KEY", ""))
    url = base_url or os.environ.get("PROSPOLABS_BASE_URL") or BASE_URL
    if not key.reveal():
        raise NotConfigured("there is no API key: set PROSPOLABS_API_KEY, or pass api_key")
    if not key.reveal().isascii() or not key.reveal().isprintable() or " " in key.reveal():
        raise NotConfigured("the API key has a character that no key has, such as a space or a line's end")
    if not _is_base_url(url):
        raise NotConfigured(f"the base URL {redacted(url)} is none: it looks like {BASE_URL}")
    return Endpoint(url, key)


def _is_base_url(url: str) -> bool:
    """Scheme, host, maybe port and path: a user would take the place of the key, a query that of each path."""
    try:
        scheme, host, _ = origin(url)
    except ValueError:
        return False
    return scheme in ("http", "https") and bool(host) and not {"@", "?", "#"} & {*url}


class SyncTransport:
    """Carries steps out for the calling thread. Any number of threads may use one.

    A call is made by a thread of its own, which is left behind when the time is up: whatever a name service, a server
    that answers byte by byte, or a transport of the caller's waits for, the caller does not.
    """

    def __init__(self, endpoint: Endpoint, http: httpx2.Client) -> None:
        self._endpoint = endpoint
        self._http = http

    @classmethod
    def over(
        cls, endpoint: Endpoint, http: httpx2.Client | None, transport: httpx2.BaseTransport | None
    ) -> SyncTransport:
        """Over a client of the caller's, or over one of ours on a transport."""
        return cls(endpoint, http or httpx2.Client(transport=transport))

    def run(self, steps: Steps[Done], stop: threading.Event | None = None) -> Done:
        """Carry out every step. What interrupts one ends the steps: they are cut off where they stand.

        Raises Stopped at the next pause once `stop` is set.
        """
        stop = stop or threading.Event()
        answer: Reply | Failure | None = None
        try:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as done:
                    return cast(Done, done.value)
                if isinstance(step, Pause):
                    if stop.wait(step.seconds):
                        raise Stopped
                    answer = None
                else:
                    answer = _noted(step, self._send(step))
        except BaseException as error:
            steps.close()
            if _is_a_caller_s(error):
                raise
            raise bare(error) from None

    def close(self) -> None:
        self._http.close()

    def _send(self, call: Call) -> Reply | Failure:
        outcome: SimpleQueue[Reply | Failure | BaseException] = SimpleQueue()
        context, is_left = contextvars.copy_context(), threading.Event()
        thread = threading.Thread(
            target=lambda: outcome.put(context.run(self._attempt, call, is_left)), name="prospo call", daemon=True
        )
        try:
            thread.start()
        except RuntimeError as error:  # the machine has no more
            return Failure(str(error), may_have_arrived=False)
        try:
            return _answer(outcome.get(timeout=call.timeout_s))
        except Empty:
            return self._endpoint.failure(call, TooLateError())
        finally:
            is_left.set()

    def _attempt(self, call: Call, is_left: threading.Event) -> Reply | Failure | BaseException:
        """The outcome of a call, also where it is an exception of somebody else's.

        Once it is left behind, nothing more of it is sent, so that what was told of it stays true, and nothing is read.
        """
        try:
            request = self._endpoint.request(self._http, call, _content(call, is_left))
            response = self._http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                pieces = _timely(response.iter_bytes(), is_left)
                if call.save_to is not None and response.status_code == 200:
                    with Saving(call.save_to, _length(response), call.on_progress) as saving:
                        for piece in pieces:
                            saving.write(piece)
                        saving.finish()
                    return self._endpoint.reply(response, b"")
                body = bytearray()
                for piece in pieces:
                    _extend(body, piece)
                return self._endpoint.reply(response, bytes(body))
            finally:
                response.close()
        except CallbackError as told:
            return told.error
        except Exception as error:
            return self._endpoint.failure(call, error)
        except BaseException as interruption:
            return interruption


class AsyncTransport:
    """Carries steps out within asyncio."""

    def __init__(self, endpoint: Endpoint, http: httpx2.AsyncClient) -> None:
        self._endpoint = endpoint
        self._http = http

    @classmethod
    def over(
        cls, endpoint: Endpoint, http: httpx2.AsyncClient | None, transport: httpx2.AsyncBaseTransport | None
    ) -> AsyncTransport:
        """Over a client of the caller's, or over one of ours on a transport."""
        return cls(endpoint, http or httpx2.AsyncClient(transport=transport))

    async def run(self, steps: Steps[Done]) -> Done:
        """As the blocking one. A task that is cancelled ends the steps likewise."""
        answer: Reply | Failure | None = None
        try:
            while True:
                try:
                    step = steps.send(answer)
                except StopIteration as done:
                    return cast(Done, done.value)
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    answer = None
                else:
                    answer = _noted(step, _answer(await self._attempt(step)))
        except BaseException as error:
            steps.close()
            if _is_a_caller_s(error):
                raise
            raise bare(error) from None

    async def close(self) -> None:
        await self._http.aclose()

    async def _attempt(self, call: Call) -> Reply | Failure | Exception:
        """The outcome of a call, also where it is an exception of a callback."""
        content = call.body.pieces_async(call.on_progress) if isinstance(call.body, FileBody) else call.body
        try:
            async with asyncio.timeout(call.timeout_s):
                request = self._endpoint.request(self._http, call, content)
                response = await self._http.send(request, stream=True, auth=None, follow_redirects=False)
                try:
                    pieces = response.aiter_bytes()
                    if call.save_to is not None and response.status_code == 200:
                        with Saving(call.save_to, _length(response), call.on_progress) as saving:
                            async for piece in pieces:
                                await asyncio.to_thread(saving.write, piece)
                            saving.finish()
                        return self._endpoint.reply(response, b"")
                    body = bytearray()
                    async for piece in pieces:
                        _extend(body, piece)
                    return self._endpoint.reply(response, bytes(body))
                finally:
                    await response.aclose()
        except CallbackError as told:
            return told.error
        except Exception as error:
            return self._endpoint.failure(call, error)


def _answer(outcome: Reply | Failure | BaseException) -> Reply | Failure:
    if isinstance(outcome, BaseException):
        raise outcome
    return outcome


def _is_a_caller_s(error: BaseException) -> bool:
    """Whether a callback of the caller's raised it, who wants to see where; no frame of it holds a secret."""
    return isinstance(error, Exception) and not isinstance(error, ProspoError)


def _content(call: Call, is_left: threading.Event) -> Iterator[bytes] | None:
    if call.body is None:
        return None
    pieces = call.body.pieces(call.on_progress) if isinstance(call.body, FileBody) else iter((call.body,))
    return _timely(pieces, is_left)


def _timely(pieces: Iterator[bytes], is_left: threading.Event) -> Iterator[bytes]:
    """The pieces, as long as somebody waits for them. Raises TooLateError."""
    while not is_left.is_set():
        piece = next(pieces, None)
        if piece is None:
            return
        yield piece
    raise TooLateError


def _extend(body: bytearray, piece: bytes) -> None:
    body += piece
    if len(body) > ANSWER_MAX_BYTES:
        raise TooLongError(f"the answer is longer than {ANSWER_MAX_BYTES:,} bytes")


def _length(response: httpx2.Response) -> int | None:
    text = response.headers.get("Content-Length", "")
    return int(text) if text.isascii() and text.isdigit() else None


def _noted(call: Call, answer: Reply | Failure) -> Reply | Failure:
    """The answer, once it is logged: a line for each attempt, without body, query and key."""
    if isinstance(answer, Failure):
        _log.warning("%s: %s", call.name, answer.reason)
    else:
        _log.info("%s: %d", call.name, answer.status)
    return answer
