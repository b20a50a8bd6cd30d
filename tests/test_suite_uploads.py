"""The upload checks beyond the kill matrix: files, URLs, money, and servers that are not ours.

All over real sockets on loopback. That each fault of the mock is found is in test_suite.py.
"""

from __future__ import annotations

import json
import re
import subprocess
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from decimal import Decimal
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx2
import pytest
from hypothesis import given
from hypothesis import strategies as st
from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance.curl import command
from prospec_conformance.implementation import Exchange, Target
from prospec_conformance.mock import MockConfig, serve
from prospec_conformance.redaction import Redaction
from prospec_conformance.report import Report, as_json
from prospec_conformance.run import Options, run
from prospec_conformance.samples import FILES, PIECE_BYTES, UNLISTED, Padded
from prospec_conformance.urls import host, path_below

SPEC: Spec = load()
UPLOADS = frozenset({"UPLOAD"})
LARGE = tuple(f"UPLOAD-{number}" for number in range(13, 19))
TIMED = ("UPLOAD-28", "UPLOAD-29", "UPLOAD-30", "UPLOAD-31")
FOREIGN = ("UPLOAD-22", "UPLOAD-26")
KEY = "prsp-a-key-of-uploads"
INITIATE = "/v1/uploads/initiate"
TOKEN = "pl-upload-" + "a" * 32


def judged(target: Target, **options: Any) -> dict[str, tuple[str, str | None]]:
    """Outcome and reason, by requirement."""
    return by_id(report_of(target, **options))


def report_of(target: Target, **options: Any) -> Report:
    asked = Options(**{"seed": 1, "examples": 0, "areas": UPLOADS, "sends_large": False, **options})
    return run(SPEC, target, asked, say=lambda line: None)


def by_id(report: Report) -> dict[str, tuple[str, str | None]]:
    return {each.requirement.id: (each.outcome, each.reason) for each in report.summed if each.is_checked}


# Files


@given(st.integers(0, 3 * PIECE_BYTES))
def test_a_padded_file_has_exactly_its_size_however_often_it_is_read(zeros: int) -> None:
    file = FILES["image/png"][1]
    padded = Padded(file, len(file) + zeros)
    for _ in range(2):
        pieces = list(padded)
        assert sum(map(len, pieces)) == len(padded) == padded.size
        assert max(map(len, pieces)) <= max(PIECE_BYTES, len(file))
    assert b"".join(padded) == file + bytes(zeros)


def test_there_is_a_file_of_each_documented_type_and_of_no_other() -> None:
    documented = {each for kind in SPEC.service.uploads.kinds for each in kind.content_types}
    assert FILES.keys() == documented
    assert not UNLISTED.keys() & documented


@pytest.mark.parametrize("content_type", [each for each in FILES if not each.startswith("audio/")])
def test_the_pictures_and_videos_are_genuine(content_type: str) -> None:
    import io

    content = io.BytesIO(FILES[content_type][1])
    if content_type.startswith("image/"):
        image = pytest.importorskip("PIL.Image")
        with image.open(content) as picture:
            picture.load()
            assert image.MIME[picture.format] == content_type
    else:
        with pytest.importorskip("av").open(content) as clip:
            assert clip.duration == 3_000_000
            assert len(list(clip.decode(video=0))) == 12


def test_the_command_of_a_padded_file_writes_the_same_bytes() -> None:
    padded = Padded(FILES["audio/wav"][1][:60], 100_000)
    exchange = Exchange("PUT", "/v1/uploads/proxy/x", {}, padded, 200, httpx2.Headers(), b"")
    shown = command(exchange, Target("http://127.0.0.1:1", KEY), Redaction([KEY]))
    assert shown.is_whole
    writes, _, curl = shown.text.partition(" | curl ")
    assert curl
    assert subprocess.run(["sh", "-c", writes], capture_output=True, check=True).stdout == b"".join(padded)


# URLs

PATHS = [
    ("http://h:8", "/v1/uploads/proxy/t", "/v1/uploads/proxy/t"),
    ("http://h:8", "http://h:8/v1/t?part=1", "/v1/t?part=1"),
    ("http://h:8", "proxy/t", "/v1/uploads/proxy/t"),
    ("https://h", "https://h:443/t", "/t"),
    ("https://h", "https://H/t", "/t"),
    ("http://h/api", "/api/v1/t", "/v1/t"),
    ("http://h/api", "/v1/t", "/v1/t"),
    ("http://h/api", "http://h/api/v1/t", "/v1/t"),
    ("http://h/api", "http://h/v1/t", None),
    ("http://h:8", "http://h:9/t", None),
    ("https://h", "http://h/t", None),
    ("http://h:8", "//evil/t", None),
    ("http://h:8", "http://h:8@evil/t", None),
    ("http://h:8", "http://h:8.evil/t", None),
    ("http://h:8", "/\\evil/t", None),
    ("http://h:8", "file:///etc/passwd", None),
    ("http://h:8", "/v1/a b", None),
    ("http://h:8", "/v1/\u00fc", None),
    ("http://h:8", "/" + "a" * 5000, None),
    ("http://h:8", "http://[::1", None),
    ("http://h:8", "", None),
    ("http://h:8", None, None),
    ("http://h:8", {"url": "/t"}, None),
]


@pytest.mark.parametrize(("base_url", "url", "path"), PATHS)
def test_the_key_goes_below_the_base_url_alone(base_url: str, url: object, path: str | None) -> None:
    assert path_below(base_url, INITIATE, url) == path


@given(st.text() | st.from_regex(r"(https?:)?[/\\]{0,3}[a-z@:.0-9]{0,12}[/\\]?.{0,9}", fullmatch=True))
def test_whatever_is_sent_to_is_the_host_of_the_api(url: str) -> None:
    path = path_below("http://api.example", INITIATE, url)
    if path is not None:
        assert path.startswith("/")
        assert host("http://api.example", INITIATE, url) == "api.example"
        assert httpx2.URL("http://api.example" + path).host == "api.example"


# A server that is not ours


@dataclass
class Server:
    """A server of uploads that does as it is told, and keeps what came."""

    initiate: Callable[[str], tuple[int, Any]]
    """What it answers, given the URL by which it is reached."""
    puts_up_to: int = 1 << 40
    """Bytes of a PUT, beyond which it hangs up."""
    put: tuple[int, Any] | None = None
    """What it answers a PUT; None for what the documentation shows."""
    url: str = ""
    puts: list[tuple[int, Mapping[str, str]]] = field(default_factory=list)
    asked: list[Mapping[str, str]] = field(default_factory=list)
    stored: set[str] = field(default_factory=set)
    number: int = 0


@contextmanager
def serving(server: Server) -> Iterator[Server]:
    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self._answer(200, {"balance_usd": 100.0, "currency": "USD"})

        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("content-length", 0)))
            if self.path == INITIATE:
                server.number += 1
                self._answer(*server.initiate(server.url))
                return
            tokens = re.findall(r"pl-upload-[0-9a-f]+", body.decode("utf-8", "replace"))
            fine = b'"prompt"' in body and all(token in server.stored for token in tokens)
            shown = {"generation_id": f"gen_{server.number}", "status": "queued"}
            self._answer(200 if fine else 400, shown if fine else {"detail": "no"})

        def do_PUT(self) -> None:
            server.asked.append(dict(self.headers))
            length, size = int(self.headers.get("content-length", 0)), 0
            if length > server.puts_up_to:
                self.close_connection = True
                return
            while size < length:
                size += len(self.rfile.read(min(1 << 16, length - size)))
            server.puts.append((size, dict(self.headers)))
            server.stored.add(self.path.rpartition("/")[2])
            self._answer(*(server.put or (200, {"status": "uploaded", "bytes": size})))

        def _answer(self, status: int, body: Any) -> None:
            content = body if isinstance(body, bytes) else json.dumps(body).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, format: str, *_: object) -> None:
            pass

    listening = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    listening.daemon_threads = True
    server.url = f"http://127.0.0.1:{listening.server_port}"
    threading.Thread(target=listening.serve_forever, daemon=True).start()
    try:
        yield server
    finally:
        listening.shutdown()
        listening.server_close()


def minting(path: str = "/put/here/") -> Server:
    """One that mints a new token for each upload, of whatever type."""

    def initiate(_url: str) -> tuple[int, Any]:
        token = f"pl-upload-{server.number:032x}"
        return 200, {"token": token, "upload_url": f"{path}{token}", "content_type": "image/png"}

    server = Server(initiate)
    return server


def test_bytes_go_to_upload_url_wherever_on_the_host_it_is_and_with_their_length() -> None:
    with serving(minting()) as server:
        found = judged(Target(server.url, KEY, is_mock=True), sends_large=True)
    assert found["UPLOAD-08"][0] == found["UPLOAD-09"][0] == "passed"
    assert {found[id][0] for id in LARGE[:3]} == {"passed"}
    assert {found[id][0] for id in LARGE[3:]} == {"failed"}
    sizes = {size for size, _ in server.puts}
    assert {30_000_000, 50_000_000, 15_000_000, (30 << 20) + 1, (50 << 20) + 1, (15 << 20) + 1} <= sizes
    assert all("Transfer-Encoding" not in headers for _, headers in server.puts)


def test_who_hangs_up_on_a_file_that_is_too_large_has_refused_it() -> None:
    server = minting()
    server.puts_up_to = 50_000_000
    with serving(server):
        found = judged(Target(server.url, KEY, is_mock=True), sends_large=True)
    assert found["UPLOAD-17"][0] == "passed"
    assert {found[id][0] for id in ("UPLOAD-16", "UPLOAD-18")} == {"failed"}


@pytest.mark.parametrize("name", ["localhost", "127.0.0.1"])
def test_the_key_never_goes_to_another_host_or_port(name: str) -> None:
    with serving(minting()) as other:
        port = other.url.rpartition(":")[2]
        away = {"token": TOKEN, "upload_url": f"http://{name}:{port}/{TOKEN}", "content_type": "image/png"}
        with serving(Server(lambda _url: (200, away))) as server:
            found = judged(Target(server.url, KEY, is_mock=True), sends_large=True)
            sent_here = [headers for headers in server.asked if "Authorization" in headers]
    assert other.asked == []
    assert len(sent_here) <= 1, "only the PUT to a token that was never minted needs no upload_url"
    assert found["UPLOAD-04"][0] == ("failed" if name == "localhost" else "passed")
    assert found["UPLOAD-08"][0] == found["UPLOAD-13"][0] == found["UPLOAD-23"][0] == "skipped"


GARBAGE: dict[str, tuple[int, Any]] = {
    "no JSON": (200, b"<html>"),
    "nothing": (200, b""),
    "a list": (200, [1, 2]),
    "a number": (200, 5),
    "null": (200, None),
    "no UTF-8": (200, b'{"token": "\xff"}'),
    "deep": (200, b"[" * 100_000),
    "an error as a page": (502, b"<html>bad gateway</html>"),
    "a redirect": (302, b""),
    "members of other types": (200, {"token": ["x"], "upload_url": 5, "content_type": {}}),
    "empty members": (200, {"token": "", "upload_url": "", "content_type": ""}),
    "a long token": (200, {"token": "t" * 100_000, "upload_url": "/" + "u" * 100_000, "content_type": None}),
    "control characters": (200, {"token": "a\r\nb\0", "upload_url": "/a\r\nX-Evil: 1", "content_type": "\ud800"}),
    "a port of letters": (200, {"token": TOKEN, "upload_url": "http://h:x/", "content_type": "image/png"}),
    "itself": (200, {"token": TOKEN, "upload_url": INITIATE, "content_type": "image/png"}),
}


@pytest.mark.parametrize("name", GARBAGE)
def test_no_answer_of_initiate_breaks_the_suite(name: str) -> None:
    with serving(Server(lambda _url: GARBAGE[name])) as server:
        report = report_of(Target(server.url, KEY, KEY + "-2", is_mock=True))
    found = by_id(report)
    assert report.complete
    assert {id: reason for id, (outcome, reason) in found.items() if outcome == "error"} == {}
    assert "failed" in {outcome for outcome, _ in found.values()} or name in ("an error as a page", "itself")
    assert KEY not in as_json(report)


@pytest.mark.parametrize("name", GARBAGE)
def test_no_answer_of_a_put_breaks_the_suite(name: str) -> None:
    server = minting()
    server.put = GARBAGE[name]
    with serving(server):
        found = judged(Target(server.url, KEY, KEY + "-2", is_mock=True))
    assert {id: reason for id, (outcome, reason) in found.items() if outcome == "error"} == {}
    assert found["UPLOAD-08"][0] == ("skipped" if server.put[0] > 500 else "failed")


# Money, time and accounts


def test_without_max_spend_nothing_is_paid_and_a_wrong_acceptance_is_found_all_the_same() -> None:
    for faults, expected in ((frozenset[str](), "skipped"), (frozenset({"UPLOAD-24-accepted"}), "failed")):
        config = MockConfig(faults=faults)
        with serve(config, SPEC) as server:
            target = Target(server.base_url, config.api_key, config.second_api_key)
            found = judged(target)
            left = httpx2.get(
                f"{server.base_url}/v1/balance", headers={"Authorization": f"Bearer {config.api_key}"}
            ).json()
        assert found["UPLOAD-24"][0] == expected
        assert found["UPLOAD-26"][0] == "skipped"
        assert "--max-spend" in str(found["UPLOAD-23"][1])
        assert found["UPLOAD-08"][0] == found["UPLOAD-19"][0] == found["UPLOAD-22"][0] == "passed"
        if not faults:
            assert Decimal(str(left["balance_usd"])) == config.balance_usd


def test_a_token_before_its_bytes_is_no_free_request() -> None:
    """What becomes of it is not documented: whoever accepts it may charge for it."""
    config = MockConfig(variants=frozenset({"upload-token-before-put"}))
    with serve(config, SPEC) as server:
        found = judged(Target(server.base_url, config.api_key))
    assert found["UPLOAD-32"][0] == "skipped"


def test_what_needs_a_clock_another_account_or_large_files_says_so() -> None:
    config = MockConfig()
    with serve(config, SPEC) as server:
        found = judged(Target(server.base_url, config.api_key, is_mock=True))
    for ids, reason in ((TIMED, "needs clock"), (FOREIGN, "needs second-account"), (LARGE, "large files")):
        assert {found[id][0] for id in ids} == {"skipped"}
        assert all(reason in str(found[id][1]) for id in ids)
    others = {id: found[id] for id in found.keys() - {*TIMED, *FOREIGN, *LARGE}}
    assert {outcome for outcome, _ in others.values()} == {"passed"}


def test_at_60_requests_a_minute_all_is_judged() -> None:
    """The suite then moves the clock of the mock by itself, and the lifetimes are measured all the same."""
    config = MockConfig(rate_limit=60)
    with serve(config, SPEC) as server:
        target = Target(
            server.base_url, config.api_key, config.second_api_key, control_token=config.control_token, is_mock=True
        )
        found = judged(target, sends_large=True)
    assert {id: each for id, each in found.items() if each[0] != "passed"} == {}


@pytest.mark.parametrize("fault", ["UPLOAD-16-no-limit", "UPLOAD-20-any-type", "UPLOAD-31-for-ever"])
def test_a_finding_is_confirmed_and_shown_as_a_command(fault: str) -> None:
    config = MockConfig(faults=frozenset({fault}))
    with serve(config, SPEC) as server:
        target = Target(server.base_url, config.api_key, control_token=config.control_token, is_mock=True)
        report = report_of(target, confirms=True, sends_large=fault.startswith("UPLOAD-16"))
    requirement = "-".join(fault.split("-")[:2])
    (summed,) = [each for each in report.summed if each.requirement.id == requirement]
    broken = [verdict for verdict in summed.verdicts if verdict.outcome in ("failed", "warned")]
    assert [report.again[verdict.id].seen for verdict in broken if verdict.id in report.again] == ["confirmed"]
    assert TOKEN[:10] + "0" not in as_json(report)
    assert not re.search(r"pl-upload-[0-9a-f]{8}", as_json(report))
