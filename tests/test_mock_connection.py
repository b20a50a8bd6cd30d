"""The mock's connection under clients that are wrong, slow or greedy: raw sockets on loopback, and the real server.

What the API answers to a well-formed request is in test_mock.py. Three lengths: PROSPEC_RAW is how many malformed
requests are sent, PROSPEC_SLOW_CLIENTS and PROSPEC_SLOW_S are how many slow clients there are and for how long.
"""

from __future__ import annotations

import asyncio
import http.client
import json
import os
import random
import re
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pytest
from conftest import QUIET
from machine import lacking
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance.mock import MockConfig, Running, serve
from prospec_conformance.mock.connection import Limits
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

KEY = "prsp-connection"
PATIENCE_S = 20
"""Within which everything here ends on the busiest machine; nothing is measured by it."""
HOST = b"Host: localhost\r\n"
AUTHORIZED = HOST + b"Authorization: Bearer prsp-connection\r\n"
GET = b"GET /v1/balance HTTP/1.1\r\n" + AUTHORIZED
POST = b"POST /v1/generate HTTP/1.1\r\n" + AUTHORIZED + b"Content-Type: application/json\r\n"
CHUNKED = GET + b"Transfer-Encoding: chunked\r\n\r\n"
"""Of an operation that takes no body, and answers 200 unless the framing is refused."""
POSTED = POST + b"Transfer-Encoding: chunked\r\n\r\n"


@pytest.fixture(scope="module")
def spec() -> Spec:
    return load()


@pytest.fixture(scope="module")
def port(spec: Spec) -> Iterator[int]:
    """Of a mock with the limits that users get."""
    with serve(MockConfig(api_key=KEY), spec) as running:
        yield _port(running)


@pytest.fixture(scope="module")
def hasty(spec: Spec) -> Iterator[int]:
    """The port of a mock that waits for nobody."""
    limits = Limits(head_s=0.3, idle_s=0.3, linger_s=0.3)
    with serve(MockConfig(api_key=KEY), spec, limits=limits) as running:
        yield _port(running)


def _port(running: Running) -> int:
    return int(running.base_url.rpartition(":")[2])


@dataclass(frozen=True, slots=True)
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes


def answers(raw: bytes) -> list[Answer]:
    """All answers of a connection but the interim ones. Raises ValueError for what is none."""
    found = []
    while raw:
        head, end, raw = raw.partition(b"\r\n\r\n")
        line, *lines = head.decode("latin-1").split("\r\n")
        headers = {name.lower(): value.strip() for name, _, value in (each.partition(":") for each in lines)}
        if not end or not re.fullmatch(r"HTTP/1\.1 \d{3} [A-Za-z -]+", line):
            raise ValueError(f"no answer: {line!r}")
        status = int(line.split()[1])
        length = int(headers.get("content-length", 0))
        if len(raw) < length:
            raise ValueError(f"{length - len(raw)} bytes are missing of the answer {line!r}")
        if status >= 200:
            found.append(Answer(status, headers, raw[:length]))
        raw = raw[length:]
    return found


def talk(port: int, data: bytes, *, shut: bool = True) -> bytes:
    """What the server says until it closes. A client that sends more than is read may see a reset at the end."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        with suppress(ConnectionError):
            connection.sendall(data)
            if shut:
                connection.shutdown(socket.SHUT_WR)
        return _rest(connection)


def flood(connection: socket.socket, data: bytes) -> int:
    """Sends the same again and again, and reads nothing, until it is cut off: the bytes that were taken."""
    taken_bytes = 0
    with suppress(ConnectionError):
        while True:
            taken_bytes += connection.send(data)
    return taken_bytes


def _rest(connection: socket.socket) -> bytes:
    said = b""
    with suppress(ConnectionError):
        while piece := connection.recv(65536):
            said += piece
    return said


def assert_is_refusal(answer: Answer) -> None:
    assert answer.headers["content-type"] == "application/json"
    body = json.loads(answer.body)
    assert body.keys() == {"code", "message", "detail"}
    assert all(isinstance(value, str) and value for value in body.values())


# Well-formed and not: one table. Each row is the request and the statuses of all answers that it gets.

SHAPES: dict[str, tuple[bytes, list[int]]] = {
    "plain": (GET + b"\r\n", [200]),
    "empty lines first": (b"\r\n\r\n" + GET + b"\r\n", [200]),
    "pipelined": ((GET + b"\r\n") * 3, [200, 200, 200]),
    "pipelined, 500": ((GET + b"\r\n") * 500, [200] * 500),
    "pipelined with bodies": ((POST + b"Content-Length: 2\r\n\r\n{}") * 2 + GET + b"\r\n", [400, 400, 200]),
    "pipelined after close": (GET + b"Connection: close\r\n\r\n" + GET + b"\r\n", [200]),
    "pipelined, the last one malformed": ((GET + b"\r\n") * 2 + b"garbage\r\n\r\n", [200, 200, 400]),
    "pipelined, the last one cut": ((GET + b"\r\n") * 2 + GET, [200, 200, 400]),
    "pipelined, a bad chunk at last": ((GET + b"\r\n") * 2 + CHUNKED + b"zz\r\n", [200, 200, 400]),
    "HTTP/1.0": (b"GET /v1/balance HTTP/1.0\r\n" + AUTHORIZED + b"\r\n", [200]),
    "HTTP/1.0, kept": (b"GET /v1/balance HTTP/1.0\r\n" + AUTHORIZED + b"Connection: keep-alive\r\n\r\n", [200]),
    "HTTP/1.0 without Host": (b"GET /v1/balance HTTP/1.0\r\n\r\n", [400]),
    "HTTP/0.9": (b"GET /v1/balance\r\n\r\n", [400]),
    "HTTP/0.9, one line": (b"GET /v1/balance\r\n", [400]),
    "HTTP/1.2": (b"GET /v1/balance HTTP/1.2\r\n" + AUTHORIZED + b"\r\n", [400]),
    "HTTP/2.0": (b"GET /v1/balance HTTP/2.0\r\n" + AUTHORIZED + b"\r\n", [400]),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", [400]),
    "TLS": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + b"\x00" * 500, [400]),
    "CONNECT": (b"CONNECT localhost:443 HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [400]),
    "absolute form": (b"GET http://localhost/v1/balance HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [200]),
    "absolute form of a stranger": (b"GET http://evil.example/v1/balance HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [400]),
    "absolute form without a path": (b"GET http://localhost?a HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [404]),
    "absolute form, https": (b"GET https://localhost/v1/balance HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [400]),
    "asterisk form": (b"OPTIONS * HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [400]),
    "bytes in the path": (b"GET /v1/\xff HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [400]),
    "escapes in the path": (b"GET /v1/%00%ff%2e%2e HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [404]),
    "another method": (b"DELETE /v1/balance HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [405]),
    "no method": (b"BREW /v1/balance HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [400]),
    "no Host": (b"GET /v1/balance HTTP/1.1\r\n\r\n", [400]),
    "two Hosts": (GET + HOST + b"\r\n", [400]),
    "another Host": (b"GET /v1/balance HTTP/1.1\r\nHost: evil.example\r\n\r\n", [400]),
    "folded header": (GET + b"X-A: a\r\n b\r\n\r\n", [400]),
    "NUL in a value": (GET + b"X-A: a\x00b\r\n\r\n", [400]),
    "NUL in a name": (GET + b"X\x00A: a\r\n\r\n", [400]),
    "no name": (GET + b": a\r\n\r\n", [400]),
    "no colon": (GET + b"abc\r\n\r\n", [400]),
    "space before the colon": (GET + b"X-A : a\r\n\r\n", [400]),
    "bare LF": ((GET + b"\r\n").replace(b"\r\n", b"\n"), [400]),
    "bare LF after a value": (GET + b"X-A: a\nX-B: b\r\n\r\n", [400]),
    "bare CR in a value": (GET + b"X-A: a\rX-B: b\r\n\r\n", [400]),
    "two lengths": (GET + b"Content-Length: 2\r\nContent-Length: 2\r\n\r\n{}", [400]),
    "two lengths that differ": (GET + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", [400]),
    "a list of lengths": (GET + b"Content-Length: 2, 2\r\n\r\n{}", [400]),
    "a length with a sign": (GET + b"Content-Length: +2\r\n\r\n{}", [400]),
    "a negative length": (GET + b"Content-Length: -2\r\n\r\n{}", [400]),
    "a hexadecimal length": (GET + b"Content-Length: 0x2\r\n\r\n{}", [400]),
    "an empty length": (GET + b"Content-Length: \r\n\r\n{}", [400]),
    "a length of 23 digits": (GET + b"Content-Length: 99999999999999999999999\r\n\r\n{}", [400]),
    "a body that is cut": (POST + b"Content-Length: 9\r\n\r\n{}", [400]),
    "CL.TE": (CHUNKED[:-2] + b"Content-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + GET + b"\r\n", [400]),
    "TE.CL": (GET + b"Content-Length: 2\r\n" + CHUNKED[len(GET) :] + b"0\r\n\r\n" + GET + b"\r\n", [400]),
    "TE.TE": (CHUNKED[:-2] + b"Transfer-Encoding: identity\r\n\r\n0\r\n\r\n" + GET + b"\r\n", [400]),
    "TE twice": (CHUNKED[:-2] + b"Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n", [400]),
    "TE with a vertical tab": (GET + b"Transfer-Encoding: \x0bchunked\r\n\r\n0\r\n\r\n", [400]),
    "TE with a space": (GET + b"Transfer-Encoding : chunked\r\n\r\n0\r\n\r\n", [400]),
    "TE gzip": (GET + b"Transfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", [400]),
    "TE identity": (GET + b"Transfer-Encoding: identity\r\n\r\n", [400]),
    "TE in HTTP/1.0": (CHUNKED.replace(b"HTTP/1.1", b"HTTP/1.0") + b"0\r\n\r\n", [400]),
    "chunks": (CHUNKED + b"1;a=b\r\n{\r\n1\r\n}\r\n0\r\n\r\n" + GET + b"\r\n", [200, 200]),
    "chunk of no size": (CHUNKED + b"\r\n{}\r\n0\r\n\r\n", [400]),
    "chunk of a bad size": (CHUNKED + b"zz\r\n{}\r\n0\r\n\r\n", [400]),
    "chunk of a negative size": (CHUNKED + b"-2\r\n{}\r\n0\r\n\r\n", [400]),
    "chunk of a size with 0x": (CHUNKED + b"0x2\r\n{}\r\n0\r\n\r\n", [400]),
    "chunk of 17 digits": (CHUNKED + b"f" * 17 + b"\r\n{}\r\n0\r\n\r\n", [400]),
    "chunk longer than its size": (CHUNKED + b"2\r\n{}{}\r\n0\r\n\r\n", [400]),
    "chunks with bare LF": (CHUNKED + b"2\n{}\n0\n\n", [400]),
    "chunks, many": (POSTED + b"1\r\n \r\n" * 20_000 + b"2\r\n{}\r\n0\r\n\r\n", [400]),
    "Upgrade": (GET + b"Connection: Upgrade\r\nUpgrade: websocket\r\n\r\n" + GET + b"\r\n", [200, 200]),
    "Upgrade with a body": (
        POST + b"Connection: Upgrade, HTTP2-Settings\r\nUpgrade: h2c\r\nContent-Length: 2\r\n\r\n{}" + GET + b"\r\n",
        [400, 200],
    ),
    "Upgrade with chunks": (
        POSTED[:-2] + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n2\r\n{}\r\n0\r\n\r\n" + GET + b"\r\n",
        [400, 200],
    ),
    "head of 40,000 bytes": (GET + b"X-A: " + b"a" * 40_000 + b"\r\n\r\n", [431]),
    "head of 30,000 bytes": (GET + b"X-A: " + b"a" * 30_000 + b"\r\n\r\n", [200]),
    "path of 70,000 bytes": (b"GET /" + b"a" * 70_000 + b" HTTP/1.1\r\n" + AUTHORIZED + b"\r\n", [431]),
    "endless empty lines": (b"\r\n" * 20_000, [431]),
    "101 headers": (b"GET /v1/balance HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 100 + b"\r\n", [431]),
    "100 headers": (b"GET /v1/balance HTTP/1.1\r\n" + HOST + b"X: a\r\n" * 99 + b"\r\n", [401]),
    "endless chunk extension": (POSTED + b"2;" + b"a" * 40_000 + b"\r\n{}\r\n0\r\n\r\n", [431]),
    "many chunk extensions": (POSTED + (b"1;" + b"a" * 400 + b"\r\n \r\n") * 100, [431]),
    "endless trailer": (POSTED + b"2\r\n{}\r\n0\r\nX-A: " + b"a" * 40_000 + b"\r\n\r\n", [431]),
    "many trailers": (POSTED + b"2\r\n{}\r\n0\r\n" + b"X-A: a\r\n" * 200 + b"\r\n", [431]),
    "only half a head": (GET, [400]),
    "nothing": (b"", []),
}


@pytest.mark.parametrize("name", SHAPES)
def test_every_shape_of_request_has_its_answer(port: int, name: str, capfd: pytest.CaptureFixture[str]) -> None:
    sent, expected = SHAPES[name]
    found = answers(talk(port, sent))
    assert [answer.status for answer in found] == expected
    for answer in found:
        if answer.status != 200:
            assert_is_refusal(answer)
    assert capfd.readouterr() == ("", "")


@pytest.mark.parametrize("name", [name for name, (_, expected) in SHAPES.items() if expected and expected[-1] == 431])
def test_what_is_too_long_is_refused_by_a_server_that_is_told_no_end(port: int, name: str) -> None:
    """The refusal is read by a client that still sends, too; and a connection that was refused is over."""
    found = answers(talk(port, SHAPES[name][0] + GET + b"\r\n", shut=False))
    assert [answer.status for answer in found] == SHAPES[name][1]
    assert found[-1].headers["connection"] == "close"


def test_a_client_that_still_sends_is_not_reset(port: int) -> None:
    """A reset may take from it the answer that it has not read yet."""
    with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as connection:
        connection.sendall(SHAPES["101 headers"][0])
        said = connection.recv(65536)
        for _ in range(20):
            connection.sendall(b"X: a\r\n" * 1000)
            time.sleep(0.01)
        connection.shutdown(socket.SHUT_WR)
        said += connection.recv(65536)
        assert connection.recv(1) == b""
    assert [answer.status for answer in answers(said)] == [431]


@pytest.mark.parametrize("name", ["no Host", "two Hosts"])
def test_the_host_header_is_there_once_whatever_the_mock_is_called(port: int, name: str) -> None:
    (answer,) = answers(talk(port, SHAPES[name][0]))
    assert json.loads(answer.body)["detail"] == "A request has exactly one Host header."


def test_a_trailer_is_no_header_of_this_request_nor_of_the_next(port: int) -> None:
    anonymous = b"GET /v1/balance HTTP/1.1\r\n" + HOST + b"\r\n"
    chunked = POSTED.replace(b"Authorization: Bearer prsp-connection\r\n", b"")
    trailed = b"2\r\n{}\r\n0\r\nAuthorization: Bearer prsp-connection\r\n\r\n"
    assert [answer.status for answer in answers(talk(port, chunked + trailed + anonymous))] == [401, 401]


def test_the_answer_to_head_has_no_body(port: int) -> None:
    for head in (GET, b"GET /v1/balance HTTP/1.1\r\n"):
        said = talk(port, head.replace(b"GET", b"HEAD", 1) + b"\r\n")
        assert said.endswith(b"\r\n\r\n")
        assert b"content-length: " in said


def test_a_client_that_was_not_told_to_continue_sends_no_body(port: int) -> None:
    """And what it sends instead is not read as one."""
    expecting = POST + b"Expect: 100-continue\r\n"
    assert talk(port, expecting + b"Content-Length: 2\r\n\r\n{}").startswith(b"HTTP/1.1 100 ")
    refused = {
        401: expecting.replace(b"Bearer prsp-connection", b"Bearer another") + b"Content-Length: 2\r\n\r\n",
        413: expecting + b"Content-Length: 2000000\r\n\r\n",
    }
    for status, sent in refused.items():
        said = talk(port, sent, shut=False)
        assert b" 100 " not in said
        assert [(answer.status, answer.headers["connection"]) for answer in answers(said)] == [(status, "close")]


def test_a_refused_body_is_read_to_its_end_and_the_connection_kept(port: int) -> None:
    """A sender that is cut off sees a broken pipe, not the refusal."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=PATIENCE_S)
    body = b"x" * 20_000_000
    connection.request("POST", "/v1/generate", body, {"Authorization": "Bearer another"})
    first = connection.sock
    refused = connection.getresponse()
    assert (refused.status, json.loads(refused.read())["code"]) == (401, "unauthorized")
    connection.request("GET", "/v1/balance", headers={"Authorization": f"Bearer {KEY}"})
    assert connection.getresponse().status == 200
    assert connection.sock is first
    connection.close()


# Time


def test_a_head_has_to_arrive_in_time(hasty: int) -> None:
    (answer,) = answers(talk(hasty, GET, shut=False))
    assert answer.status == 408
    assert_is_refusal(answer)


def test_a_second_head_has_to_arrive_in_time(hasty: int) -> None:
    assert [answer.status for answer in answers(talk(hasty, GET + b"\r\n" + GET, shut=False))] == [200, 408]


def test_a_connection_that_asks_nothing_is_closed_without_a_word(hasty: int) -> None:
    assert talk(hasty, b"", shut=False) == b""


@pytest.mark.parametrize("path", ["/v1/generate", "/v1/balance"])
def test_a_body_has_to_move_on(hasty: int, path: str) -> None:
    """Byte by byte is no moving on. Where the answer went out before the body came, there is no other."""
    asked = POST.replace(b"/v1/generate", path.encode()) + b"Content-Length: 2000\r\n\r\n"
    with socket.create_connection(("127.0.0.1", hasty), PATIENCE_S) as connection:
        connection.sendall(asked)
        with suppress(ConnectionError):
            for _ in range(2000):
                connection.sendall(b" ")
                time.sleep(0.01)
            pytest.fail("20 s of single bytes were taken")
        said = _rest(connection)
    assert [answer.status for answer in answers(said)] == ([408] if path == "/v1/generate" else [405])


def test_a_reader_has_to_move_on(hasty: int) -> None:
    """A client that asks and asks, and reads nothing, is cut off. Nothing is read of it once the answers pile up."""
    with socket.create_connection(("127.0.0.1", hasty), PATIENCE_S) as connection:
        assert flood(connection, (GET + b"\r\n") * 100) < 50_000_000


def test_an_idle_connection_is_closed_without_a_word(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospec_conformance.mock.server.KEEP_ALIVE_S", 1)
    with serve(MockConfig(api_key=KEY), spec, limits=Limits(head_s=0.5)) as running:
        began_s = time.monotonic()
        assert [answer.status for answer in answers(talk(_port(running), GET + b"\r\n", shut=False))] == [200]
        assert time.monotonic() - began_s >= 1


def test_a_blocking_call_may_take_longer_than_any_limit(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("prospec_conformance.mock.server.KEEP_ALIVE_S", 0.1)
    limits = Limits(head_s=0.1, idle_s=0.1, linger_s=0.1)
    body = b'{"model":"kling-o3","params":{"prompt":"a"}}'
    asked = POST + b"Content-Length: %d\r\n\r\n" % len(body) + body
    with serve(MockConfig(api_key=KEY, processing_s=1), spec, limits=limits) as running:
        assert [answer.status for answer in answers(talk(_port(running), asked, shut=False))] == [200]
        assert [answer.status for answer in answers(talk(_port(running), asked + GET + b"\r\n"))] == [200, 200]


def test_more_connections_than_there_may_be_are_told(spec: Spec) -> None:
    with (
        serve(MockConfig(api_key=KEY), spec, limits=Limits(max_connections=1)) as running,
        socket.create_connection(("127.0.0.1", _port(running)), PATIENCE_S) as first,
    ):
        first.sendall(GET + b"\r\n")
        assert first.recv(12) == b"HTTP/1.1 200"
        (answer,) = answers(talk(_port(running), b"", shut=False))
        assert answer.status == 503
        assert_is_refusal(answer)


@pytest.mark.parametrize(
    ("fails", "told"),
    [
        ("start", "the mock did not start: the state of yesterday is unreadable"),
        ("end", "the mock did not end as it should: the disk is full"),
    ],
)
def test_a_start_or_end_that_fails_is_told_once(
    spec: Spec, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str], fails: str, told: str
) -> None:
    @asynccontextmanager
    async def lifespan(_app: Starlette) -> AsyncIterator[None]:
        if fails == "start":
            raise ValueError("the state of yesterday is unreadable")
        yield
        raise ValueError("the disk is full")

    monkeypatch.setattr("prospec_conformance.mock.app.create_app", lambda *_: Starlette(lifespan=lifespan))
    with pytest.raises(RuntimeError, match=rf"^{told}$"), serve(MockConfig(), spec):
        assert fails == "end"
    assert capfd.readouterr() == ("", "")


# A server of its own: what it prints, opens and holds


@dataclass(frozen=True, slots=True)
class Served:
    port: int
    pid: int
    stderr: Path


@contextmanager
def mock_process(folder: Path) -> Iterator[Served]:
    """`prospec mock` as a user starts it. It has to print nothing but its keys, and to end when it is told."""
    environment = {**QUIET, "PROSPOLABS_API_KEY": KEY}
    command = [sys.executable, "-m", "prospec", "mock", "--rate-limit", "0", "--processing-s", "0"]
    printed = folder / "stderr"
    with (
        printed.open("w") as stderr,
        subprocess.Popen(command, stdout=subprocess.PIPE, stderr=stderr, env=environment, text=True) as process,
    ):
        assert process.stdout
        try:
            yield Served(int(process.stdout.readline().rpartition(":")[2]), process.pid, printed)
        finally:
            process.terminate()
            process.wait(PATIENCE_S)
    greeting = re.compile(r"PROSP\w+=|Ctrl-C|Requests and deliveries: ")
    assert [line for line in printed.read_text().splitlines() if not greeting.match(line)] == []


def held_bytes(pid: int) -> int:
    """What the process holds of the machine's memory."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        lacking("/proc, which tells how much memory a process holds, is not there")
    return int(status.partition("VmRSS:")[2].split()[0]) * 1024


@pytest.mark.parametrize("is_upload", [False, True])
def test_a_claim_of_10_gib_is_refused_unread(tmp_path: Path, is_upload: bool) -> None:
    with mock_process(tmp_path) as served:
        sent = POST
        if is_upload:
            body = b'{"content_type":"video/mp4","file_name":"a.mp4"}'
            initiate = POST.replace(b"/v1/generate", b"/v1/uploads/initiate")
            (initiated,) = answers(talk(served.port, initiate + b"Content-Length: %d\r\n\r\n" % len(body) + body))
            path = json.loads(initiated.body)["upload_url"].encode()
            sent = b"PUT " + path + b" HTTP/1.1\r\n" + AUTHORIZED + b"Content-Type: video/mp4\r\n"
        before_bytes = held_bytes(served.pid)
        with socket.create_connection(("127.0.0.1", served.port), PATIENCE_S) as connection:
            connection.sendall(sent + b"Content-Length: 10737418240\r\n\r\n")
            sent_bytes, said = 0, b""
            while not said:
                assert sent_bytes < 1 << 20, "1 MiB was taken without an answer"
                connection.sendall(b"\0" * 1024)
                sent_bytes += 1024
                connection.settimeout(0.01)
                with suppress(TimeoutError):
                    said = connection.recv(65536)
                connection.settimeout(PATIENCE_S)
            said += _rest(connection)
            # A client that goes on regardless is not read for long.
            assert flood(connection, b"\0" * 65536) < 100_000_000
        (answer,) = answers(said)
        assert answer.status == (400 if is_upload else 413)
        assert "larger than" in json.loads(answer.body)["detail"]
        assert answer.headers["connection"] == "close"
        assert held_bytes(served.pid) - before_bytes < 10_000_000


def test_a_long_answer_is_held_once_and_not_for_every_slow_reader(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    content = b"x" * 20_000_000

    async def get(_request: Request) -> Response:
        return Response(content)

    monkeypatch.setattr("prospec_conformance.mock.app.create_app", lambda *_: Starlette(routes=[Route("/long", get)]))
    with serve(MockConfig(), spec) as running, ExitStack() as readers:
        port = _port(running)
        before_bytes = held_bytes(os.getpid())
        for _ in range(20):
            reader = readers.enter_context(socket.create_connection(("127.0.0.1", port), PATIENCE_S))
            reader.sendall(b"GET /long HTTP/1.1\r\n" + HOST + b"\r\n")
            assert reader.recv(12) == b"HTTP/1.1 200"
        (answer,) = answers(talk(port, b"GET /long HTTP/1.1\r\n" + HOST + b"\r\n"))
        assert answer.body == content
        assert held_bytes(os.getpid()) - before_bytes < 150_000_000
        # What is wrong about the rest of a request is no reason to cut off an answer that is under way.
        asked = b"GET /long HTTP/1.1\r\n" + HOST + b"Transfer-Encoding: chunked\r\n\r\n"
        with socket.create_connection(("127.0.0.1", port), PATIENCE_S) as reader:
            reader.sendall(asked)
            said = reader.recv(12)
            reader.sendall(b"2;" + b"a" * 40_000)
            said += _rest(reader)
        assert [answer.body == content for answer in answers(said)] == [True]


SLOW_CLIENTS = int(os.environ.get("PROSPEC_SLOW_CLIENTS", "200"))
SLOW_S = float(os.environ.get("PROSPEC_SLOW_S", "5"))
IS_LONG = SLOW_CLIENTS >= 500 and SLOW_S >= 60


async def slow_client(port: int, kind: str, output: bytes, until_s: float) -> None:
    """Slow in its one way, and again from the beginning whenever it was cut off."""
    loop = asyncio.get_running_loop()
    while loop.time() < until_s:
        with socket.socket() as connection:
            connection.setblocking(False)
            connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            with suppress(ConnectionError):
                await loop.sock_connect(connection, ("127.0.0.1", port))
                first = {
                    "head": GET + b"X-A: ",
                    "body": POST + b"Content-Length: 100000\r\n\r\n",
                    "reader": output,
                    "idle": GET + b"\r\n",
                    "half-closed": POSTED + b"1\r\n",
                }[kind]
                await loop.sock_sendall(connection, first)
                if kind == "half-closed":
                    connection.shutdown(socket.SHUT_WR)
                while loop.time() < until_s:
                    await asyncio.sleep(0.5)
                    if kind in ("head", "body"):
                        await loop.sock_sendall(connection, b" ")
                    elif kind == "reader":
                        if not await loop.sock_recv(connection, 16):
                            break
                    elif kind == "half-closed" and not await loop.sock_recv(connection, 4096):
                        break


def test_slow_clients_cost_little_and_keep_nobody_waiting(tmp_path: Path) -> None:
    """The short form has wide bounds, for a machine with other work to do."""
    kinds = ("head", "body", "reader", "idle", "half-closed")
    waits_s: list[float] = []
    with mock_process(tmp_path) as served:
        body = b'{"model":"nano-banana-2","params":{"prompt":"a","resolution":"4K"}}'
        (made,) = answers(talk(served.port, POST + b"Content-Length: %d\r\n\r\n" % len(body) + body))
        file = json.loads(made.body)["output_url"].partition("://localhost")[2].encode()
        output = b"GET " + file + b" HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"
        (drawn,) = answers(talk(served.port, output))
        if drawn.status == 501:
            lacking("Pillow, which draws outputs, is not installed")
        assert drawn.status == 200
        before_bytes, most_bytes = held_bytes(served.pid), 0
        is_over = threading.Event()

        def ask() -> None:
            nonlocal most_bytes
            connection = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
            while not is_over.wait(0.02):
                began_s = time.perf_counter()
                connection.request("GET", "/v1/balance", headers={"Authorization": f"Bearer {KEY}"})
                assert connection.getresponse().read()
                waits_s.append(time.perf_counter() - began_s)
                most_bytes = max(most_bytes, held_bytes(served.pid))
            connection.close()

        async def all_of_them() -> None:
            until_s = asyncio.get_running_loop().time() + SLOW_S
            clients = [slow_client(served.port, kinds[at % 5], output, until_s) for at in range(SLOW_CLIENTS)]
            # What never ends by itself (a reader that waits) is called off.
            with suppress(TimeoutError):
                await asyncio.wait_for(asyncio.gather(*clients), SLOW_S + 1)

        asker = threading.Thread(target=ask)
        asker.start()
        asyncio.run(all_of_them())
        is_over.set()
        asker.join()
    p99_s = statistics.quantiles(waits_s, n=100)[98]
    grown_bytes = most_bytes - before_bytes
    print(f"{SLOW_CLIENTS} slow clients for {SLOW_S:g} s: {len(waits_s)} requests, p99 {1000 * p99_s:.1f} ms,")
    print(f"grown by {grown_bytes / 1e6:.1f} MB; the output that is read slowly has {len(drawn.body)} bytes")
    assert len(waits_s) > 10 * SLOW_S
    assert p99_s < (0.1 if IS_LONG else 0.5)
    assert grown_bytes < 50_000_000


# Malformed requests, many

RAW = int(os.environ.get("PROSPEC_RAW", "2000"))
BODY = b'{"model":"kling-o3","mode":"text","params":{"prompt":"a quiet harbour"},"async":true}'
TEMPLATES: dict[str, list[bytes]] = {
    "generate": [
        POST + b"Content-Length: %d\r\n\r\n" % len(BODY) + BODY,
        POSTED + b"%x\r\n" % len(BODY) + BODY + b"\r\n0\r\n\r\n",
        POST + b"Expect: 100-continue\r\nContent-Length: 2\r\n\r\n{}",
    ],
    "getGeneration": [b"GET /v1/generations/gen_0123456789abcdef HTTP/1.1\r\n" + AUTHORIZED + b"\r\n"],
    "initiateUpload": [
        POST.replace(b"/v1/generate", b"/v1/uploads/initiate")
        + b'Content-Length: 48\r\n\r\n{"content_type":"video/mp4","file_name":"a.mp4"}'
    ],
    "putUpload": [
        b"PUT /v1/uploads/proxy/pl-upload-0123456789abcdef0123456789abcdef HTTP/1.1\r\n"
        + AUTHORIZED
        + b"Content-Type: video/mp4\r\nContent-Length: 10\r\n\r\n0123456789"
    ],
    "getBalance": [
        GET + b"\r\n",
        (GET + b"\r\n") * 3,
        GET + b"Connection: Upgrade\r\nUpgrade: h2c\r\n\r\n",
        b"GET http://localhost/v1/balance HTTP/1.1\r\n" + AUTHORIZED + b"Connection: close\r\n\r\n",
    ],
    "": [b"GET /results/gen_0123456789abcdef.png?token=abc HTTP/1.1\r\n" + HOST + b"\r\n"],
}
"""Requests of each operation; the empty one is of an output, which openapi.yaml does not list."""
UNDOCUMENTED = {
    400: "what is no HTTP, or names another host, is refused on every path",
    401: "a request of this operation may follow another one's remains",
    404: "the path was mutated",
    405: "the method was mutated",
    413: "the documentation names no limit of a body; the mock has one",
    431: "the documentation names no limit of a head; the mock has one",
}
"""Statuses that any operation may answer, each with its reason."""
FRAGMENTS = [
    b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"\0", b" ", b"\t", b"\xff", b":", b"%00", b"%", b"\x0b", b"0\r\n\r\n",
    b"Content-Length: 5\r\n", b"Content-Length: 0\r\n", b"Content-Length: 10737418240\r\n", b"Content-Length: -1\r\n",
    b"Transfer-Encoding: chunked\r\n", b"Transfer-Encoding: identity\r\n", b"Transfer-Encoding : chunked\r\n",
    b"Expect: 100-continue\r\n", b"Connection: Upgrade\r\nUpgrade: websocket\r\n", b"Connection: close\r\n",
    b"Host: evil.example\r\n", b"HTTP/1.0", b"HTTP/2.0", b"CONNECT ", b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
    b"\x16\x03\x01", b"ffffffffffffffff\r\n", b"1;a=b\r\n", b"http://", b"..", b"/", b"?async=true", b"\xef\xbb\xbf",
]  # fmt: skip


def mutated(dice: random.Random, request: bytes) -> bytes:
    for _ in range(dice.choice((1, 1, 1, 2, 3))):
        at = dice.randrange(len(request) + 1)
        to = min(len(request), at + dice.choice((1, 1, 2, 8, 40)))
        match dice.randrange(11):
            case 0 if request:
                at = min(at, len(request) - 1)
                request = request[:at] + bytes([request[at] ^ 1 << dice.randrange(8)]) + request[at + 1 :]
            case 1:
                request = request[:at] + dice.randbytes(dice.choice((1, 1, 4))) + request[at:]
            case 2:
                request = request[:at] + request[to:]
            case 3:
                request = request[:at]
            case 4:
                request = request[:to] + request[at:]
            case 5:
                request = request[:at] + bytes([dice.randrange(256)]) * dice.choice((1000, 33_000)) + request[at:]
            case 6:
                encoding = dice.choice(("utf-16", "utf-32", "cp037", "utf-7"))
                request = request.decode("latin-1").encode(encoding)
            case 7:
                length = dice.choice((b"0", b"1", b"999", b"2000000", b"10737418240", b"18446744073709551616", b"1e3"))
                request = re.sub(rb"(?i)(?<=content-length: )\d+", length, request)
            case 8:
                request = request.replace(b"\r\n", dice.choice((b"\n", b"\r", b"\r\r\n", b"\r\n\r\n", b"\r\n ")))
            case 9:
                lines = request.split(b"\r\n")
                dice.shuffle(lines)
                request = b"\r\n".join(lines)
            case _:
                request = request[:at] + dice.choice(FRAGMENTS) + request[at:]
    return request


def test_malformed_requests_are_answered_or_cut_off_and_harm_nothing(spec: Spec, tmp_path: Path) -> None:
    """Each is sent by a client that then closes its side, so that each has to end, and at once."""
    documented = {
        operation["operationId"]: {int(status) for status in operation["responses"]}
        for path in spec.openapi["paths"].values()
        for operation in path.values()
        if isinstance(operation, dict) and "operationId" in operation
    }
    counts: dict[int, int] = {}
    with mock_process(tmp_path) as served:
        steady = http.client.HTTPConnection("127.0.0.1", served.port, timeout=PATIENCE_S)
        before_bytes = held_bytes(served.pid)
        began_s = time.monotonic()
        for number in range(RAW):
            dice = random.Random(number)
            operation = dice.choice(list(TEMPLATES))
            sent = mutated(dice, dice.choice(TEMPLATES[operation]))
            told = f"request {number} of {operation!r}: {sent[:300]!r}"
            try:
                found = answers(talk(served.port, sent))
            except (ValueError, TimeoutError) as error:
                pytest.fail(f"{told}: {error}")
            for answer in found:
                counts[answer.status] = counts.get(answer.status, 0) + 1
                assert answer.status in documented.get(operation, {200}) | UNDOCUMENTED.keys(), told
                assert answer.status < 500, told
                if answer.status >= 400:
                    assert_is_refusal(answer)
            if number % 100 == 99:
                steady.request("GET", "/v1/balance", headers={"Authorization": f"Bearer {KEY}"})
                normal = steady.getresponse()
                assert (normal.status, bool(normal.read())) == (200, True)
        took_s = time.monotonic() - began_s
        steady.close()
        print(f"{RAW} in {took_s:.1f} s, {dict(sorted(counts.items()))},")
        print(f"grown by {(held_bytes(served.pid) - before_bytes) / 1e6:.1f} MB")
    assert counts[400] > RAW / 10
    assert counts[200] > RAW / 100


# File names

NAMES = [
    "../../etc/passwd",
    "/etc/passwd",
    "..\\..\\windows\\win.ini",
    "C:\\Windows\\win.ini",
    "file:///etc/passwd",
    "\\\\server\\share\\a",
    "a\0.png",
    "\0",
    "CON",
    "NUL.png",
    "COM1",
    ".",
    "..",
    "~/.ssh/id_rsa",
    "$HOME/a",
    "`id`",
    "a.png:stream",
    "|id",
    "/dev/stdin",
    "/proc/self/environ",
    "a" * 10_000,
    "../" * 3_000 + "a",
    "a\r\nX-Injected: 1",
    "\u202egnp.exe",
    "%2e%2e%2fpasswd",
]
WATCHED = """
import json, sys
import httpx2
from prospec_conformance.mock import MockConfig, serve

FILE_EVENTS = ("open", "os.", "shutil.", "tempfile.", "pathlib.", "subprocess.", "glob.", "sqlite3.")
seen, is_watched = [], False

def watch(event, arguments):
    if is_watched and event.startswith(FILE_EVENTS):
        seen.append([event, repr(arguments)[:200]])

sys.addaudithook(watch)
with serve(MockConfig()) as running:
    headers = {"Authorization": f"Bearer {running.config.api_key}"}
    with httpx2.Client(base_url=running.base_url, headers=headers, trust_env=False, timeout=20) as api:
        statuses = []
        for name in ["warm.png", *json.load(sys.stdin)]:
            answer = api.post("/v1/uploads/initiate", json={"content_type": "image/png", "file_name": name})
            statuses.append(answer.status_code)
            if answer.status_code == 200:
                target = answer.json()["upload_url"]
                api.put(target, content=b"png", headers={"Content-Type": "image/png"}).raise_for_status()
            is_watched = True
        if sys.argv[1:]:
            open(sys.argv[1], "w").close()
        is_watched = False
print(json.dumps({"statuses": statuses, "seen": seen}))
"""


@pytest.mark.parametrize("opens", [False, True])
def test_a_file_name_is_never_a_path(tmp_path: Path, opens: bool) -> None:
    """The process reports every file that it touches; the second run shows that it would."""
    command = [sys.executable, "-c", WATCHED, *(["opened"] if opens else [])]
    ran = subprocess.run(
        command,
        input=json.dumps(NAMES),
        capture_output=True,
        text=True,
        cwd=tmp_path,
        env=QUIET,
        timeout=60,
        check=False,
    )
    assert ran.stderr == ""
    found = json.loads(ran.stdout)
    assert set(found["statuses"]) <= {200, 400}
    assert found["statuses"][0] == 200
    assert [event for event, _ in found["seen"]] == (["open"] if opens else [])
    assert [path.name for path in tmp_path.iterdir()] == (["opened"] if opens else [])
