"""No key, upload token or signed URL shows in a repr, a text, a pickle, a log or a traceback, local variables included.

Each secret is a canary. Every error that the client can meet is raised, and searched in every form it can be shown in.
"""

from __future__ import annotations

import asyncio
import logging
import pickle
import traceback
import warnings
from collections.abc import Callable, Iterator
from pathlib import Path
from types import TracebackType
from typing import Any

import httpx2
import prospo
import pytest
from failing_server import FailingServer, answer, closed_port, failing, then
from prospec_conformance.mock import MockConfig, serve
from prospo.exchange import Deadline
from prospo.secrecy import redacted
from rich.traceback import Traceback

KEY = "prsp-canary-key"
TOKEN = "pl-upload-" + "canarytoken"
URL = "/results/a.mp4?token=canaryurl" + "x" * 100
CANARIES: tuple[str, ...] = ("canary-key", "canarytoken", "canaryurl")
SIGNED = b'{"generation_id": "gen_a", "status": "completed", "output_url": "http://127.0.0.1:%d' + URL.encode() + b'"}'
PLACE = b'{"token": "' + TOKEN.encode() + b'", "upload_url": "/v1/uploads/proxy/' + TOKEN.encode() + b'"}'
ECHO = (
    b'{"code": "bad", "message": "the key ' + KEY.encode() + b" and " + TOKEN.encode()
    + b' and https://a.example/?token=canaryurl are refused"}'
)  # fmt: skip
REQUEST: dict[str, Any] = {"model": "kling-o3", "params": {"prompt": "a quiet harbour"}}


def forms(error: BaseException) -> Iterator[tuple[str, str]]:
    """Every form in which an error may be shown or kept."""
    yield "str", str(error)
    yield "repr", repr(error)
    yield "attributes", repr(error.__dict__)
    yield "pickle", repr(pickle.dumps(error))
    shown = traceback.TracebackException.from_exception(error, capture_locals=True)
    yield "traceback", "".join(shown.format())
    for most in (80, 2000):  # rich shortens a text before it asks for its repr
        trace = Traceback.extract(type(error), error, error.__traceback__, show_locals=True, locals_max_string=most)
        frames = [frame.locals or {} for stack in trace.stacks for frame in stack.frames]
        yield "rich", "\n".join(f"{name} = {node}" for frame in frames for name, node in frame.items())


def assert_hidden(error: BaseException) -> None:
    for form, text in forms(error):
        assert not [canary for canary in CANARIES if canary in text], (
            f"{type(error).__name__} as {form}: {text[-3000:]}"
        )


def within_the_client(error: BaseException) -> TracebackType:
    """The frames from the client's own on: those above are the test's, and hold its canaries."""
    trace = error.__traceback__
    while trace is not None and "prospo" not in Path(trace.tb_frame.f_code.co_filename).parts:
        trace = trace.tb_next
    assert trace is not None
    return trace


def mixed(post: bytes, *, put: bytes = b"", output: bytes = b"", place: bytes = PLACE) -> Callable[..., None]:
    """A server that answers each endpoint with its own bytes, one request a connection."""

    def fail(server: FailingServer, connection: Any) -> None:
        request = server.take(connection)
        if request.startswith(b"POST /v1/uploads"):
            connection.sendall(answer("200 OK", place, "Connection: close"))
        elif request.startswith(b"PUT"):
            connection.sendall(put)
        elif request.startswith(b"GET /results"):
            connection.sendall(output)
        else:
            connection.sendall(post.replace(b"%d", str(server.port).encode()))
        connection.close()

    return fail


def picture(folder: Path) -> Path:
    path = folder / "a.png"
    path.write_bytes(b"\x89PNG\r\n\x1a\n" + bytes(100))
    return path


REFUSED = answer("400 Bad Request", ECHO, "Connection: close")
BROKEN = answer("500 Internal Server Error", ECHO, "Connection: close")
DONE = answer("200 OK", SIGNED.replace(b"%d", b"00000"), "Connection: close")

CASES: dict[str, tuple[Callable[..., None], str]] = {
    "refused": (mixed(REFUSED), "generate"),
    "500": (mixed(BROKEN), "generate"),
    "closed": (then(), "generate"),
    "cut off": (then(BROKEN[:-5]), "generate"),
    "half an output": (then(answer("200 OK", SIGNED)[:-3]), "generate"),
    "no id": (mixed(answer("200 OK", SIGNED.replace(b"generation_id", b"id"))), "generate"),
    "put refused": (mixed(b"", put=answer("404 Not Found", ECHO)), "upload"),
    "put cut off": (mixed(b"", put=b"HTTP/1.1 2"), "upload"),
    "no place": (mixed(b"", place=PLACE.replace(b"upload_url", b"url")), "upload"),
    "output gone": (mixed(b"", output=answer("410 Gone", ECHO)), "download"),
    "output cut off": (mixed(b"", output=answer("200 OK", bytes(10))[:-3]), "download"),
    "output moved": (mixed(b"", output=answer("302 Found", b"", f"Location: {URL}")), "download"),
    "output into nowhere": (mixed(b"", output=answer("200 OK", bytes(10))), "download into nowhere"),
}


def act(client: prospo.Client, what: str, base_url: str, folder: Path) -> None:
    match what:
        case "generate":
            client.generate(**REQUEST, blocking=True)
        case "upload":
            client.upload(picture(folder))
        case _:
            path = folder / ("nowhere/a.mp4" if "nowhere" in what else "a.mp4")
            client._transport.run(
                client._operations.download(prospo.SignedUrl(base_url + URL), path, None, Deadline(None))
            )


async def act_async(client: prospo.AsyncClient, what: str, base_url: str, folder: Path) -> None:
    match what:
        case "generate":
            await client.generate(**REQUEST, blocking=True)
        case "upload":
            await client.upload(picture(folder))
        case _:
            path = folder / ("nowhere/a.mp4" if "nowhere" in what else "a.mp4")
            await client._transport.run(
                client._operations.download(prospo.SignedUrl(base_url + URL), path, None, Deadline(None))
            )


@pytest.mark.parametrize("is_async", [False, True], ids=["Client", "AsyncClient"])
@pytest.mark.parametrize("case", CASES)
def test_no_error_shows_a_secret(
    case: str, is_async: bool, tmp_path: Path, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prospo.exchange.ATTEMPTS", 1)
    caplog.set_level(logging.DEBUG)
    fail, what = CASES[case]

    async def run(base_url: str) -> None:
        async with prospo.AsyncClient(KEY, base_url) as client:
            await act_async(client, what, base_url, tmp_path)

    with failing(fail) as server:
        error = None
        try:
            if is_async:
                asyncio.run(run(server.base_url))
            else:
                with prospo.Client(KEY, server.base_url) as client:
                    act(client, what, server.base_url, tmp_path)
        except prospo.ProspoError as raised:
            error = raised
    assert error is not None
    assert_hidden(error.with_traceback(within_the_client(error)))
    assert error.__context__ is None
    logged = [record for record in caplog.records if record.name.split(".")[0] in ("prospo", "httpx2", "httpcore2")]
    assert logged
    for record in logged:
        assert not [canary for canary in CANARIES if canary in record.getMessage()], record.getMessage()


def test_nothing_that_succeeds_shows_a_secret(caplog: pytest.LogCaptureFixture, tmp_path: Path) -> None:
    caplog.set_level(logging.INFO)
    with serve(MockConfig(api_key=KEY)) as mock, prospo.Client(KEY, mock.base_url) as client:
        result = client.generate(model="seedream-5-lite", params={"prompt": "a ball"})
        token = client.upload(picture(tmp_path))
        url = result.output_url
        assert url is not None
        result.download(tmp_path / "out")
        secrets = [KEY, str(token), url.partition("token=")[2]]
        shown = [
            repr(client),
            repr(vars(client)),
            repr(result),
            repr(result.raw),
            repr(token),
            repr(url),
            repr([url[:200]]),
            f"{url!r}",
            client.submit(**REQUEST).checkpoint(),
            *[record.getMessage() for record in caplog.records],
        ]
        for text in shown:
            assert not [secret for secret in secrets if secret in text], text
        assert url.startswith("http"), "a program has the whole of it"


def test_a_result_can_be_pickled_and_a_key_cannot(tmp_path: Path) -> None:
    with serve(MockConfig(api_key=KEY)) as mock, prospo.Client(KEY, mock.base_url) as client:
        result = client.generate(model="seedream-5-lite", params={"prompt": "a ball"})
        again = pickle.loads(pickle.dumps(result))
        assert (again, again.raw) == (result, result.raw)
        with pytest.raises(ValueError, match="pickled"):
            again.download(tmp_path)
        with pytest.raises(TypeError):
            pickle.dumps(client)


@pytest.mark.parametrize(
    ("key", "base_url"),
    [("prsp-canary-key\n", None), ("prsp canary-key", None), ("prsp-canary-keyé", None), (KEY, "ftp://x"), (KEY, "x")],
)
def test_a_key_that_is_none_is_not_repeated(key: str, base_url: str | None) -> None:
    with pytest.raises(prospo.NotConfigured) as told:
        prospo.Client(key, base_url)
    assert_hidden(told.value.with_traceback(within_the_client(told.value)))


HEX = "c0ffee" * 5 + "ab"
ASKED: dict[str, Any] = {
    "model": "seedance-2-fast",
    "mode": "reference",
    "params": {
        "prompt": "x",
        "duration": 4,
        "image_urls": [f"pl-upload-{HEX}", "https://bucket.example/a.png?signature=canaryurl"],
        "video_urls": [prospo.SignedUrl("https://cdn.example/a.mp4?token=canaryurl")],
        "audio_urls": [prospo.UploadToken(f"pl-upload-{HEX}")],
    },
}
HOOK = "https://me.example/hook?secret=canaryhook"
CANARIES += (HEX, "canaryhook")


def told(status: str, body: bytes = ECHO, *headers: str) -> Callable[..., None]:
    return then(answer(status, body, *headers))


def signed(status: str) -> Callable[..., None]:
    body = SIGNED.replace(b"completed", status.encode()).replace(b"%d", b"00000")
    return mixed(answer("200 OK", body, "Connection: close"), output=answer("200 OK", body))


ASKING: dict[type[prospo.ProspoError], tuple[Callable[..., None] | None, dict[str, Any]]] = {
    prospo.InvalidRequest: (None, {"model": "kling-o3"}),
    prospo.OverBudget: (None, {"max_cost_usd": "0.01"}),
    prospo.FileRefused: (None, {"upload_files": True}),
    prospo.NotSent: (None, {"timeout_s": 0.2}),
    prospo.BadRequest: (told("400 Bad Request"), {}),
    prospo.Unauthorized: (told("401 Unauthorized"), {}),
    prospo.Forbidden: (told("403 Forbidden"), {}),
    prospo.NotFound: (told("404 Not Found"), {}),
    prospo.Refused: (told("409 Conflict"), {}),
    prospo.OutputExpired: (told("410 Gone"), {}),
    prospo.RateLimited: (told("429 Too Many Requests", ECHO, "Retry-After: 99"), {}),
    prospo.OutcomeUnknown: (told("500 Internal Server Error"), {}),
    prospo.GenerationFailed: (signed("failed"), {}),
    prospo.StillRunning: (signed("processing"), {"timeout_s": 0.2}),
}
"""Error -> the server that causes it, if one does, and what is asked otherwise than ASKED."""
NO_REQUEST = {prospo.NotConfigured, prospo.Unavailable, prospo.NoAnswer, prospo.BadSignature}
"""Errors that no generate request meets: see the tests above, and test_webhooks.py."""
GROUPS = {prospo.ProspoError, prospo.CallerError, prospo.ServiceError, prospo.NetworkError}


def classes(of: type[prospo.ProspoError]) -> set[type[prospo.ProspoError]]:
    return {of}.union(*(classes(each) for each in of.__subclasses__()))


def test_the_table_has_every_error() -> None:
    assert ASKING.keys() | NO_REQUEST | GROUPS == classes(prospo.ProspoError)


@pytest.mark.parametrize("way", ["generate", "submit", "method", "batch"])
@pytest.mark.parametrize("form", [prospo.Client, prospo.AsyncClient])
@pytest.mark.parametrize("error", ASKING, ids=lambda each: each.__name__)
def test_no_error_shows_what_was_asked(
    error: type[prospo.ProspoError], form: Callable[..., Any], way: str, tmp_path: Path
) -> None:
    """Upload tokens and signed URLs in params, and a secret of a webhook's URL: not in the frames of the client."""
    server, changes = ASKING[error]
    film = tmp_path / "a.mp4"
    film.write_bytes(b"\0\0\0\x18ftypisom\0\0\0\0")
    asked = {**ASKED, **{name: value for name, value in changes.items() if name in ASKED}}
    if error is prospo.FileRefused:
        asked["params"] = {**ASKED["params"], "image_urls": [*ASKED["params"]["image_urls"], str(film)]}
    options = {name: value for name, value in changes.items() if name not in ASKED}

    def ask(client: Any) -> Any:
        if way == "batch":
            return client.batch([asked])
        if way == "method":
            model = client.kling_o3.text if error is prospo.InvalidRequest else client.seedance_2_fast.reference
            return model(**asked["params"])
        return getattr(client, way)(**asked)

    async def run(client: Any) -> Any:
        async with client:
            return await ask(client)

    with failing(server or then()) as listening, warnings.catch_warnings():
        warnings.simplefilter("ignore")
        url = f"http://127.0.0.1:{closed_port()}" if error is prospo.NotSent else listening.base_url
        client = form(KEY, url, webhook_url=HOOK, **options)
        try:
            met = asyncio.run(run(client)) if form is prospo.AsyncClient else ask(client)
        except prospo.ProspoError as raised:
            met = raised
    if way == "submit" and error in (prospo.GenerationFailed, prospo.StillRunning):
        assert_hidden(Exception(repr(met), met.checkpoint(), repr(vars(met))))
        return
    if way == "batch":
        (met,) = met
    assert type(met) is error, met
    assert_hidden(met.with_traceback(within_the_client(met)))
    assert met.__context__ is met.__cause__ is None


def test_a_quote_shows_nothing_of_the_request() -> None:
    with pytest.raises(prospo.InvalidRequest) as met:
        prospo.Client(KEY).quote(**{**ASKED, "model": "kling-o3"})
    assert_hidden(met.value.with_traceback(within_the_client(met.value)))


@pytest.mark.parametrize("form", [prospo.Client, prospo.AsyncClient])
def test_a_warning_that_is_made_an_error_shows_nothing_of_the_request(form: Callable[..., Any]) -> None:
    async def run(client: Any, asked: dict[str, Any]) -> None:
        await client.generate(**asked)

    asked = {**ASKED, "params": {**ASKED["params"], "duration": 99}}
    client = form(KEY, "http://127.0.0.1")
    with warnings.catch_warnings():
        warnings.simplefilter("error", prospo.RequestWarning)
        with pytest.raises(prospo.RequestWarning) as met:
            asyncio.run(run(client, asked)) if form is prospo.AsyncClient else client.generate(**asked)
    assert_hidden(met.value.with_traceback(within_the_client(met.value)))


class Interrupted(httpx2.BaseTransport, httpx2.AsyncBaseTransport):
    """Is stopped while it holds the whole request, as a socket is."""

    def handle_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = list(request.headers.raw)
        raise KeyboardInterrupt(len(headers))

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        headers = list(request.headers.raw)
        raise asyncio.CancelledError(len(headers))


def test_an_interruption_shows_no_secret() -> None:
    """A person who stops a program sees where it was, and not what it sent."""
    with (
        prospo.Client(KEY, "http://127.0.0.1", transport=Interrupted()) as client,
        pytest.raises(KeyboardInterrupt) as told,
    ):
        client.generate(**REQUEST)

    async def run() -> None:
        async with prospo.AsyncClient(KEY, "http://127.0.0.1", transport=Interrupted()) as client:
            await client.generate(**REQUEST)

    with pytest.raises(asyncio.CancelledError) as told_async:
        asyncio.run(run())
    for error in (told.value, told_async.value):
        assert_hidden(error.with_traceback(within_the_client(error)))


def test_what_was_never_sent_shows_no_secret() -> None:
    with prospo.Client(KEY, f"http://127.0.0.1:{closed_port()}") as client, pytest.raises(prospo.NotSent) as told:
        client.generate(**REQUEST, timeout_s=0.1)
    assert_hidden(told.value)


def test_a_long_text_is_cleared_and_cut_in_the_time_that_a_short_one_takes() -> None:
    """A server's error of 8 MiB must not hold a client up, nor half a secret at the cut pass for none."""
    for text in ("https://" * 1_000_000, "/" * 8_000_000, f"{'a ' * 1_990}https://user:{CANARIES[0] * 1_000}@host/"):
        told = redacted(text)
        assert len(told) < 600
        assert CANARIES[0][:6] not in told
