"""Carries steps out over httpx2, blocking or not. The only module that knows of httpx2.

An exception of httpx2 or of the network becomes a Failure here, and is let go of: chained to an error of ours it would
carry frames whose local variables hold the key. Here lives no decision on what to send, or on sending it again.
"""

from __future__ import annotations

import asyncio
import logging
import os
import time
from typing import Any, TypeVar, cast
from urllib.parse import urljoin, urlsplit

from .errors import NotConfigured
from .exchange import ANSWER_MAX_BYTES, Call, Failure, Pause, Reply, Steps
from .files import FileBody, LocalFileError, Saving
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


class _TooLateError(Exception):
    """The time for the whole of a call is over."""


class _TooLongError(Exception):
    """An answer goes on for longer than any answer of this API."""


class _Cleared(logging.Filter):
    """Clears the URLs that httpx2 logs of tokens and queries."""

    def filter(self, record: logging.LogRecord) -> bool:
        if isinstance(record.args, tuple):
            cleared = (redacted(str(each)) if isinstance(each, httpx2.URL) else each for each in record.args)
            record.args = tuple(cleared)
        return True


_cleared = _Cleared()


class Endpoint:
    """Where calls go, and with which key: what both drivers share."""

    def __init__(self, base_url: str, key: Secret) -> None:
        self.base_url = base_url.rstrip("/")
        self._key = key
        logging.getLogger("httpx2").addFilter(_cleared)

    def options(self, call: Call) -> dict[str, Any]:
        """Method, URL, headers and timeouts of a call, the key included where it may have it."""
        url = urljoin(f"{self.base_url}/", call.url.lstrip("/") if call.url.startswith("/v1/") else call.url)
        headers = {"Accept": "*/*" if call.save_to else "application/json"}
        if call.has_key and origin(url) == origin(self.base_url):
            headers["Authorization"] = f"Bearer {self._key.reveal()}"
        if call.content_type is not None:
            headers["Content-Type"] = call.content_type
        if isinstance(call.body, FileBody):
            headers["Content-Length"] = str(call.body.size)
        # Less than the whole, so that what never connected is known to be that.
        connect_s = min(_CONNECT_S, 0.8 * call.timeout_s)
        timeout = httpx2.Timeout(call.timeout_s, connect=connect_s, pool=connect_s)
        return {"method": call.method, "url": url, "headers": headers, "timeout": timeout}

    def failure(self, call: Call, error: BaseException) -> Failure:
        """What an exception means for a call."""
        if isinstance(error, LocalFileError):
            return Failure(str(error), may_have_arrived=True, is_local=True)
        if isinstance(error, TimeoutError | _TooLateError | httpx2.ReadTimeout | httpx2.WriteTimeout):
            reason = f"no whole answer within {call.timeout_s:g} s"
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
    try:
        scheme, host, _ = origin(url)
    except ValueError:
        scheme, host = "", None
    if scheme not in ("http", "https") or not host:
        raise NotConfigured(f"the base URL {redacted(url)} is none: it looks like {BASE_URL}")
    return Endpoint(url, key)


class SyncTransport:
    """Carries steps out in the calling thread. Any number of threads may use one."""

    def __init__(self, endpoint: Endpoint, http: httpx2.Client) -> None:
        self._endpoint = endpoint
        self._http = http

    @classmethod
    def over(
        cls, endpoint: Endpoint, http: httpx2.Client | None, transport: httpx2.BaseTransport | None
    ) -> SyncTransport:
        """Over a client of the caller's, or over one of ours on a transport."""
        return cls(endpoint, http or httpx2.Client(transport=transport))

    def run(self, steps: Steps[Done]) -> Done:
        """Carry out every step. What interrupts one ends the steps: they are cut off where they stand."""
        answer: Reply | Failure | None = None
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return cast(Done, done.value)
            try:
                if isinstance(step, Pause):
                    time.sleep(step.seconds)
                    answer = None
                else:
                    answer = _noted(step, self._send(step))
            except BaseException as interruption:
                steps.close()
                # The frames below hold the key in their local variables.
                raise interruption.with_traceback(None) from None

    def close(self) -> None:
        self._http.close()

    def _send(self, call: Call) -> Reply | Failure:
        late_at = time.monotonic() + call.timeout_s
        content = call.body.pieces(call.on_progress) if isinstance(call.body, FileBody) else call.body
        try:
            request = self._http.build_request(**self._endpoint.options(call), content=content)
            if not call.has_key:
                request.headers.pop("Authorization", None)
            response = self._http.send(request, stream=True, auth=None, follow_redirects=False)
            try:
                pieces = response.iter_bytes()
                if call.save_to is not None and response.status_code == 200:
                    with Saving(call.save_to, _length(response), call.on_progress) as saving:
                        for piece in pieces:
                            _check_time(late_at)
                            saving.write(piece)
                        saving.finish()
                    return self._endpoint.reply(response, b"")
                body = bytearray()
                for piece in pieces:
                    _check_time(late_at)
                    _extend(body, piece)
                return self._endpoint.reply(response, bytes(body))
            finally:
                response.close()
        except Exception as error:
            return self._endpoint.failure(call, error)


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
        while True:
            try:
                step = steps.send(answer)
            except StopIteration as done:
                return cast(Done, done.value)
            try:
                if isinstance(step, Pause):
                    await asyncio.sleep(step.seconds)
                    answer = None
                else:
                    answer = _noted(step, await self._send(step))
            except BaseException as interruption:
                steps.close()
                raise interruption.with_traceback(None) from None

    async def close(self) -> None:
        await self._http.aclose()

    async def _send(self, call: Call) -> Reply | Failure:
        content = call.body.pieces_async(call.on_progress) if isinstance(call.body, FileBody) else call.body
        try:
            async with asyncio.timeout(call.timeout_s):
                request = self._http.build_request(**self._endpoint.options(call), content=content)
                if not call.has_key:
                    request.headers.pop("Authorization", None)
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
        except Exception as error:
            return self._endpoint.failure(call, error)


def _check_time(late_at: float) -> None:
    if time.monotonic() > late_at:
        raise _TooLateError


def _extend(body: bytearray, piece: bytes) -> None:
    body += piece
    if len(body) > ANSWER_MAX_BYTES:
        raise _TooLongError(f"the answer is longer than {ANSWER_MAX_BYTES:,} bytes")


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
