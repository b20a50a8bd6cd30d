"""The commands `prospec webhook`: a body signed, a delivery judged, deliveries listened to, and a sample sent.

They need the standard library and the binding only. Here lives no rule on signatures: the binding has those.
"""

from __future__ import annotations

import http.client
import json
import os
import re
import sys
import threading
import time
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Annotated, Literal
from urllib.parse import SplitResult, urlsplit

from cyclopts import App, Parameter
from prospo.webhooks import SIGNATURE_HEADER, BadSignature, Event, sign, unwrap, verify

from .exits import FINDINGS, NOTHING_RAN, OK, USAGE
from .terminal import Interrupts, plain, say

File = Annotated[str, Parameter(allow_leading_hyphen=True)]
Format = Literal["text", "json"]
Headers = Sequence[tuple[str, str]]
Switch = Annotated[bool, Parameter(negative=())]

SECRET_VARIABLES = ("PROSPOLABS_WEBHOOK_SECRET", "PROSPOLABS_WEBHOOK_OLD_SECRET")
"""The secret, and the one that it takes over from. Names alone."""
LOOPBACK = ("127.0.0.1", "localhost", "::1")
MAX_BYTES = 1 << 20
"""Of a delivery. An event has a few hundred."""
TIMEOUT_S = 10.0
OF_CONNECTION = {"connection", "keep-alive", "te", "trailer", "transfer-encoding", "upgrade", "host", "content-length"}
"""Headers that are not passed on: each connection has its own."""
NO_ANSWER = (OSError, http.client.HTTPException, ValueError)
"""What the standard library raises where none comes; ValueError for a host or a header that cannot be sent."""
_url = re.compile(r"https?://[!-~]+", re.IGNORECASE).fullmatch
_signed = re.compile(r'(https?:(?:\\?/){2}[^\s"?#]*\?)[^\s"]*', re.IGNORECASE)
"""A URL with a query, within JSON."""

webhook = App(name="webhook", help="Work on a webhook receiver, without the provider.", help_format="markdown")


@webhook.command(name="sign")
def sign_(file: File = "-") -> int:
    """Print the signature of a body.

    ```
    prospec webhook sign event.json
    printf '{"event": "generation.failed"}' | prospec webhook sign -
    ```

    The secret is read from PROSPOLABS_WEBHOOK_SECRET. Every byte counts: `echo` adds a line's end.

    Parameters
    ----------
    file
        The body; - or nothing is stdin.
    """
    try:
        secret, body = _secrets()[0], _read(file)
    except _UsageError as error:
        say(str(error), "red")
        return USAGE
    print(sign(body, secret))
    return OK


@webhook.command(name="verify")
def verify_(file: File = "-", *, signature: str, format: Format = "text") -> int:
    """Say whether a signature is that of a body.

    ```
    prospec webhook verify event.json --signature "$(prospec webhook sign event.json)"
    prospec webhook sign event.json | xargs -I{} prospec webhook verify event.json --signature {} --format json
    ```

    The secret is read from PROSPOLABS_WEBHOOK_SECRET, the one before it from PROSPOLABS_WEBHOOK_OLD_SECRET.

    Exit codes: 0 genuine, 1 not, 2 usage.

    Parameters
    ----------
    file
        The body, byte for byte as it came; - or nothing is stdin.
    signature
        The value of the header X-Prospo-Signature.
    format
        text for people, json for programs.
    """
    try:
        secrets, body = _secrets(), _read(file)
    except _UsageError as error:
        say(str(error), "red")
        return USAGE
    refusal = _refusal(body, signature, secrets)
    if format == "json":
        print(json.dumps({"genuine": refusal is None, "reason": refusal and refusal.reason}))
    else:
        print("genuine" if refusal is None else f"refused: {refusal}")
    if refusal and body.endswith(b"\n") and not _refusal(body.rstrip(b"\r\n"), signature, secrets):
        say("without the line's end at its end the body is genuine: save it with curl or printf, byte for byte")
    return FINDINGS if refusal else OK


@webhook.command
def listen(
    *,
    port: int = 0,
    forward: str | None = None,
    count: int | None = None,
    verbose: Switch = False,
    format: Format = "text",
) -> int:
    """Print each delivery that comes, and whether it is genuine. The first line is the URL.

    ```
    prospec webhook listen
    prospec webhook listen --port 8000 --forward http://127.0.0.1:3000/webhook --verbose
    prospec webhook listen --format json --count 1
    ```

    It listens on 127.0.0.1: the mock, `prospec webhook trigger` and a tunnel reach it, the provider itself does not. A
    genuine delivery is answered 200 and any other 401; with --forward, the sender gets your receiver's status.

    The secret is read from PROSPOLABS_WEBHOOK_SECRET, the one before it from PROSPOLABS_WEBHOOK_OLD_SECRET.

    Exit codes, once it is stopped: 0 all were genuine, 1 one was not, or was not forwarded, 2 usage, 3 none came.

    Parameters
    ----------
    port
        Where to listen; 0 takes a free one.
    forward
        A URL of this machine that gets the same bytes and headers, genuine or not; but for those of the connection.
    count
        Stop after that many.
    verbose
        Print headers and body as well, without the queries of URLs: whoever has that of an output can fetch it.
    format
        text for people, json (an object a line) for programs.
    """
    try:
        secrets = _secrets()
        target = None if forward is None else _target("--forward", forward)
        if target and (target.scheme != "http" or target.hostname not in LOOPBACK):
            raise _UsageError(f"--forward takes an http URL of this machine: a host of {', '.join(LOOPBACK)}")
        if count is not None and count < 1:
            raise _UsageError("--count takes a number from 1 up")
        listener = _Listener(port, secrets, target, _Printer(format, verbose=verbose), count)
    except _UsageError as error:
        say(str(error), "red")
        return USAGE
    with listener:
        url = f"http://127.0.0.1:{listener.server_port}/"
        print(json.dumps({"url": url}) if format == "json" else url, flush=True)
        say("waiting for deliveries; give this URL as webhook_url to the mock, or a tunnel's to the provider")
        with suppress(KeyboardInterrupt), Interrupts():
            listener.serve_forever(poll_interval=0.1)
    if listener.is_deaf:
        raise BrokenPipeError
    if not listener.came:
        say("nothing came", "red")
        return NOTHING_RAN
    return FINDINGS if listener.wrong else OK


@webhook.command
def trigger(
    *,
    url: str,
    event: Literal["completed", "failed"] = "completed",
    generation_id: str = "gen_sample",
    timeout_s: float = TIMEOUT_S,
    format: Format = "text",
) -> int:
    """Send a receiver one signed delivery of a made-up generation, and print what it answers.

    ```
    prospec webhook trigger --url http://127.0.0.1:3000/webhook
    prospec webhook trigger --url http://127.0.0.1:3000/webhook --event failed --generation-id gen_1 --format json
    ```

    The secret is read from PROSPOLABS_WEBHOOK_SECRET. Nothing is retried, and no redirect is followed. The cost is
    written 0.40, as the documentation does: a receiver that re-serialises the body refuses it.

    Exit codes: 0 answered 2xx, 1 answered otherwise, 2 usage, 3 unreachable.

    Parameters
    ----------
    url
        Where the receiver listens.
    event
        What happened to the generation.
    generation_id
        Which one. A receiver handles an event of a generation once.
    timeout_s
        How long the receiver may take to connect, and to answer, in seconds.
    format
        text for people, json for programs.
    """
    try:
        secret, target = _secrets()[0], _target("--url", url)
        if not 0 < timeout_s < 1000:
            raise _UsageError("--timeout-s takes more than 0 and less than 1000 seconds")
    except _UsageError as error:
        say(str(error), "red")
        return USAGE
    body = _sample(event, generation_id)
    headers = [("Content-Type", "application/json"), (SIGNATURE_HEADER, sign(body, secret))]
    started = time.monotonic()
    try:
        status = _post(target, body, headers, timeout_s)
    except NO_ANSWER as error:
        say(f"no answer from {plain(_origin(target))}: {plain(_reason(error))}", "red")
        return NOTHING_RAN
    took_ms = round(1000 * (time.monotonic() - started))
    if format == "json":
        told = {"event": f"generation.{event}", "generation_id": generation_id, "status": status, "took_ms": took_ms}
        print(json.dumps(told))
    else:
        print(f"{status}  generation.{event} {plain(generation_id)}, {len(body)} bytes, {took_ms} ms")
    if 200 <= status < 300:
        return OK
    say(f"the provider would count {status} as failed and try again: expected 2xx", "red")
    return FINDINGS


class _UsageError(Exception):
    """Says what is wrong with the arguments, the environment or a file."""


def _secrets() -> list[str]:
    """At least one. Raises _UsageError."""
    given = [os.environ.get(name, "") for name in SECRET_VARIABLES]
    if not given[0]:
        raise _UsageError(f"{SECRET_VARIABLES[0]} is not set: give the secret that signs your webhooks")
    return [secret for secret in given if secret]


def _read(file: str) -> bytes:
    """Raises _UsageError."""
    if file.startswith("-") and file != "-":
        raise _UsageError(f"Unknown option: {plain(file)}. A file of that name is ./{plain(file)}.")
    try:
        return sys.stdin.buffer.read() if file == "-" else Path(file).read_bytes()
    except OSError as error:
        raise _UsageError(f"{plain(file)}: {error.strerror}") from None
    except ValueError:  # a NUL in a name
        raise _UsageError(f"{plain(file)}: no name of a file") from None


def _refusal(body: bytes, signature: str | None, secrets: Sequence[str]) -> BadSignature | None:
    try:
        verify(body, signature, secrets)
    except BadSignature as bad:
        return bad
    return None


def _target(option: str, url: str) -> SplitResult:
    """The parts of a plain URL. Raises _UsageError, without the URL: it may hold a secret."""
    try:
        parts = urlsplit(url)
        if not _url(url) or not parts.hostname or parts.port == 0 or {"@", "#", "\\"} & {*url}:
            raise ValueError
    except ValueError:
        raise _UsageError(f"{option} takes http(s)://host:port/path?query in ASCII: no user, no fragment") from None
    return parts


def _origin(target: SplitResult) -> str:
    return f"{target.scheme}://{target.netloc}"


def _post(target: SplitResult, body: bytes, headers: Headers, timeout_s: float) -> int:
    """The status of the answer. Raises OSError or HTTPException where there is none."""
    kind = http.client.HTTPSConnection if target.scheme.lower() == "https" else http.client.HTTPConnection
    connection = kind(target.hostname or "", target.port, timeout=timeout_s)
    try:
        path = f"{target.path or '/'}{f'?{target.query}' if target.query else ''}"
        connection.putrequest("POST", path, skip_accept_encoding=True)
        for name, value in headers:
            connection.putheader(name, value.encode("latin-1"))
        connection.putheader("Content-Length", str(len(body)))
        connection.putheader("Connection", "close")
        connection.endheaders(body)
        return connection.getresponse().status
    finally:
        connection.close()


def _reason(error: Exception) -> str:
    if isinstance(error, TimeoutError):
        return "it took too long"
    return (isinstance(error, OSError) and error.strerror) or type(error).__name__


def _sample(event: str, generation_id: str) -> bytes:
    """An event in the documentation's layout, of a generation that there is not."""
    id, now = json.dumps(generation_id), datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")
    data = '{"model":"veo-3-1-lite","mode":"text"}'
    if event == "completed":
        output = '"output_url":"https://cdn.prospolabs.com/results/sample.mp4?token=sample"'
        data = f'{data[:-1]},{output},"cost_usd":0.40,"duration_ms":28430}}'
    return f'{{"event":"generation.{event}","generation_id":{id},"data":{data},"timestamp":"{now}"}}'.encode()


@dataclass(frozen=True, slots=True)
class Arrival:
    """One delivery that came, as it is shown."""

    at: str
    genuine: bool
    reason: str | None
    """Why it is refused, or is no event."""
    event: str | None
    generation_id: str | None
    bytes: int
    status: int
    """What the sender was answered."""
    forwarded: bool | None
    """Whether the receiver behind --forward answered; None without one."""


class _Printer:
    """Deliveries as lines, each whole, from whichever thread."""

    def __init__(self, format: Format, *, verbose: bool) -> None:
        self._format = format
        self._verbose = verbose
        self._lock = threading.Lock()

    def show(self, arrival: Arrival, said: str, headers: Headers, body: bytes) -> None:
        """Raises BrokenPipeError once nobody reads."""
        content = _signed.sub(r"\1...", body.decode("utf-8", "backslashreplace"))
        if self._format == "json":
            details = {"headers": headers, "body": content} if self._verbose else {}
            text = json.dumps(asdict(arrival) | details)
        else:
            verdict = "genuine" if arrival.genuine else "refused"
            lines = [f"{arrival.at}  {verdict}  {arrival.status}  {arrival.bytes} bytes  {plain(said)}"]
            if self._verbose:
                lines += [f"  {plain(line)}" for line in (*map(": ".join, headers), *content.splitlines())]
            text = "\n".join(lines)
        with self._lock:
            print(text, flush=True)


class _Listener(ThreadingHTTPServer):
    """Judges, forwards and counts what comes to 127.0.0.1."""

    daemon_threads = True
    block_on_close = False

    def __init__(
        self, port: int, secrets: Sequence[str], forward: SplitResult | None, printer: _Printer, count: int | None
    ) -> None:
        """Raises _UsageError where it cannot listen."""
        self.came = self.wrong = self._answered = 0
        self.is_deaf = False
        """Whether nobody reads what is printed any more."""
        self._secrets = secrets
        self._forward = forward
        self._printer = printer
        self._count = count
        self._lock = threading.Lock()
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except (OSError, OverflowError) as error:
            said = getattr(error, "strerror", None) or "no port has that number"
            raise _UsageError(f"--port {port}: {said}") from None

    def handle_error(self, request: object, client_address: object) -> None:
        """A sender that goes away is no matter of ours."""

    def take(self, headers: Headers, body: bytes) -> int:
        """Judge one delivery, forward it, show it. Returns the status that its sender gets."""
        at = datetime.now().astimezone().isoformat(timespec="seconds")
        signatures = [value for name, value in headers if name.lower() == SIGNATURE_HEADER.lower()]
        event, refusal = self._judge(body, ", ".join(signatures))
        is_genuine = refusal is None or refusal.reason == "payload"
        status, forwarded = 200 if is_genuine else 401, None
        if self._forward:
            passed_on = [(name, value) for name, value in headers if name.lower() not in OF_CONNECTION]
            try:
                status, forwarded = _post(self._forward, body, passed_on, TIMEOUT_S), True
            except NO_ANSWER as error:
                status, forwarded = 502, False
                say(f"not forwarded to {plain(_origin(self._forward))}: {plain(_reason(error))}", "red")
        with self._lock:
            self.came += 1
            self.wrong += not is_genuine or forwarded is False
        arrival = Arrival(
            at=at,
            genuine=is_genuine,
            reason=None if refusal is None else refusal.reason,
            event=None if event is None else event.event,
            generation_id=None if event is None else event.generation_id,
            bytes=len(body),
            status=status,
            forwarded=forwarded,
        )
        said = str(refusal) if event is None else " ".join(filter(None, (event.event, event.generation_id)))
        try:
            self._printer.show(arrival, said, headers, body)
        except BrokenPipeError:
            self.is_deaf = True
        return status

    def rest(self) -> None:
        """One was answered; the last of them ends the listening."""
        with self._lock:
            self._answered += 1
            is_last = self._answered == self._count
        if is_last or self.is_deaf:
            self.shutdown()

    def _judge(self, body: bytes, signature: str) -> tuple[Event | None, BadSignature | None]:
        try:
            return unwrap(body, signature, self._secrets, max_age_s=None), None
        except BadSignature as bad:
            return None, bad


class _Handler(BaseHTTPRequestHandler):
    timeout = TIMEOUT_S

    def do_POST(self) -> None:
        assert isinstance(self.server, _Listener)
        length = self.headers.get("Content-Length", "")
        if not (length.isascii() and length.isdigit()):
            return self._refuse(411, "a delivery without Content-Length")
        if len(length) > 9 or int(length) > MAX_BYTES:
            return self._refuse(413, f"a delivery of more than {MAX_BYTES:,} bytes")
        body = self.rfile.read(int(length))
        if len(body) < int(length):
            return self._refuse(400, "a delivery that broke off")
        # A value that went over several lines is one line again.
        headers = [(name, value.replace("\r", "").replace("\n", "")) for name, value in self.headers.items()]
        self._answer(self.server.take(headers, body))
        return self.server.rest()

    def _refuse(self, status: int, what: str) -> None:
        say(f"not read: {what}; answered {status}", "red")
        self._answer(status)

    def _answer(self, status: int) -> None:
        self.close_connection = True
        self.send_response(status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        """What comes is printed once it is judged."""
