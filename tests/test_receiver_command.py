"""`prospec conformance receiver`: it finds what is wrong with a receiver, names the cause, and wrongs no right one.

The flawed ones are the documentation's own handler, and the standard library's example with one flaw planted in it.
That the examples have none is in test_receiver_examples.py.
"""

from __future__ import annotations

import json
import queue
import shutil
import socket
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from conftest import Run
from hypothesis import given, settings
from hypothesis import strategies as st
from machine import lacking
from prospec.ir import Spec
from prospec_conformance import reception
from prospec_conformance.deliveries import GENUINE, HUGE_BYTES, RAW, ZEROS, Delivery, deliveries, genuine_signature
from prospec_conformance.receiver_report import as_json, as_text, command
from prospec_conformance.receiving import ReceiverTarget, Reception, receive
from prospec_conformance.run import UnreachableError
from test_documentation import SECRET, Handler, handler  # noqa: F401 - the fixture

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "receivers" / "stdlib" / "receiver.py"
HEADER = "X-Prospo-Signature"
WHEN = "2026-05-02T14:33:27.000Z"
ALL = {each.name: each for each in deliveries("tests", WHEN)}


# A receiver in this process


class _Quiet(ThreadingHTTPServer):
    daemon_threads = True

    def handle_error(self, request: object, client_address: object) -> None:
        """A receiver that throws is what the tests are about."""


@contextmanager
def listening(kind: type[BaseHTTPRequestHandler]) -> Iterator[str]:
    quiet = type("Quiet", (kind,), {"log_message": lambda self, *arguments: None})
    server = _Quiet(("127.0.0.1", 0), quiet)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield f"http://127.0.0.1:{server.server_port}/hook-of-mine"
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


@contextmanager
def example(*flaw: tuple[str, str], secret: str = SECRET) -> Iterator[str]:
    """The standard library's example, with pieces of its source replaced."""
    source = EXAMPLE.read_text("utf-8")
    for right, wrong in flaw:
        assert source.count(right) == 1, right
        source = source.replace(right, wrong)
    module: dict[str, Any] = {"__name__": "receiver"}
    exec(compile(source, "receiver.py", "exec"), module)
    module["SECRETS"].append(secret.encode())
    with listening(module["Receiver"]) as url:
        yield url


def answering(answer: Callable[[BaseHTTPRequestHandler, bytes], None]) -> type[BaseHTTPRequestHandler]:
    """A handler that reads the body and leaves the rest to a function."""

    class Handler(BaseHTTPRequestHandler):
        def handle_delivery(self) -> None:
            answer(self, self.rfile.read(int(self.headers.get("Content-Length", 0))))

        do_GET = do_POST = do_PUT = handle_delivery  # noqa: N815 - http.server's names

    return Handler


def target(url: str, secret: str = SECRET, timeout_s: float = 20) -> ReceiverTarget:
    return ReceiverTarget(url, secret, HEADER, timeout_s)


def failed(reception: Reception) -> dict[str, str]:
    return {each.delivery.name: each.reason for each in reception.judged if each.outcome == "failed"}


def titles(reception: Reception) -> list[str]:
    return [each.title for each in reception.flaws]


# What is sent


def test_every_name_of_a_pattern_is_one_of_a_delivery() -> None:
    assert len(ALL) == len(deliveries("tests", WHEN)) > 90
    patterns = (reception.LAYOUTS, reception.REWRITTEN, reception.ENDS, reception.CONTENTS, reception.PARTS)
    for names in (*patterns, reception.OTHER_FORMS, reception.UNREAD, reception.FALSE):
        assert set(names) <= ALL.keys()


@given(st.text(st.characters(codec="utf-8"), min_size=1), st.text("0123456789abcdef", min_size=8, max_size=8))
def test_genuine_ones_are_genuine_and_forged_ones_are_not(secret: str, tag: str) -> None:
    seen = set()
    for each in deliveries(tag, WHEN):
        if each.name == "odd-huge":
            continue
        is_genuine = each.signature(secret) == genuine_signature(secret, each.body).encode()
        assert is_genuine or each.expected != "taken", each.name
        assert not is_genuine or each.expected != "refused", each.name
        if each.expected == "taken":
            event = json.loads(each.body)
            assert event["event"] in ("generation.completed", "generation.failed")
            assert event["timestamp"] == WHEN
            assert event["generation_id"] not in seen
            seen.add(event["generation_id"])


def test_genuine_signatures_are_those_of_the_vectors(spec: Spec) -> None:
    valid = [each for each in spec.vectors.webhooks if each["valid"] and len(each["secrets"]) == 1 and "body" in each]
    assert len(valid) > 40
    for each in valid:
        assert genuine_signature(each["secrets"][0], each["body"].encode()) == each["signature"], each["id"]


def test_what_equals_the_signed_body_as_json_says_so() -> None:
    for name in reception.REWRITTEN:
        body, signed = ALL[name].body, ALL[name].signed
        assert body != signed
        assert json.loads(body.decode(errors="replace")) == json.loads(signed)


def test_a_flip_is_of_one_bit() -> None:
    flips = [each for name, each in ALL.items() if name.startswith("forged-flip-")]
    assert len(flips) == 8
    for each in flips:
        changed = int.from_bytes(each.body) ^ int.from_bytes(each.signed)
        assert (len(each.body), changed.bit_count()) == (len(each.signed), 1)


@pytest.mark.parametrize("secret", [SECRET, 'it\'s $HOME `of` "mine"\\'])
def test_the_command_shown_sends_the_very_same_delivery(secret: str, tmp_path: Path) -> None:
    shell, openssl = shutil.which("sh"), shutil.which("openssl")
    if not shell or not openssl or not shutil.which("curl"):
        lacking("sh, openssl or curl is not installed")
    came: queue.Queue[tuple[str, bytes | None, str | None, bool, bytes]] = queue.Queue()

    def keep(request: BaseHTTPRequestHandler, body: bytes) -> None:
        names = [name for name in request.headers if name.lower() == HEADER.lower()]
        signature = request.headers[HEADER].encode("latin-1") if names else None
        came.put((request.command, signature, request.headers["Content-Type"], HEADER.lower() in names, body))
        request.send_response(200)
        request.end_headers()

    with listening(answering(keep)) as url:
        receive(target(url, secret), list(ALL.values()))
        sent = [came.get_nowait() for _ in range(came.qsize())]
        script = "set -e\n" + "\n".join(command(each, HEADER) for each in ALL.values())
        environment = {"URL": url, "PROSPOLABS_WEBHOOK_SECRET": secret, "PATH": "/usr/bin:/bin"}
        ran = subprocess.run(
            [shell], input=script.encode(), cwd=tmp_path, env=environment, capture_output=True, timeout=120, check=False
        )
        assert ran.returncode == 0, ran.stderr
        assert secret not in script
    shown = [came.get_nowait() for _ in range(came.qsize())]
    names = [each.name for each in ALL.values() for _ in range(each.times)]
    for name, ours, theirs in zip(names, sent, shown, strict=True):
        assert ours == theirs, name


# The documentation's own handler


def test_the_documentation_s_handler_has_both_its_flaws_named(handler: Handler, prospec: Run, tmp_path: Path) -> None:  # noqa: F811
    env = {"PROSPOLABS_WEBHOOK_SECRET": SECRET}
    ran = prospec("conformance", "receiver", "--url", handler.url, "--report-dir", str(tmp_path), env=env)
    assert ran.returncode == 1, ran.stderr
    report = json.loads((tmp_path / "report.json").read_text("utf-8"))
    flaws = {each["title"]: each["shown_by"] for each in report["flaws"]}
    rewriting = flaws.pop("re-serialises the parsed body, as JSON.stringify does")
    assert {"genuine-cost-0.40", "genuine-cost-3.0", "genuine-indented", "forged-cost-0.40"} <= set(rewriting)
    lengths = flaws.pop("throws on a signature of another length")
    assert set(lengths) == set(reception.LENGTHS)
    assert flaws.keys() == {
        "throws when there is no signature",
        "throws on a signature beyond ASCII",
        "parses a body before it has verified it, and throws",
        "throws on a signed body or a form of request that it did not expect",
    }
    for title in ("re-serialises the parsed body", "throws on a signature of another length"):
        assert f"flaw    {title}" in ran.stdout
    assert "failed  genuine-cost-0.40: a cost written 0.40: was answered 401, expected 2xx" in ran.stdout


# One flaw at a time

CHECK = 'if not is_genuine(body, self.headers.get("X-Prospo-Signature", "")):'
EXPECTED = 'hmac.new(key, body, "sha256").hexdigest().encode()'
COMPARED = f"hmac.compare_digest({EXPECTED}, given)"
CAUGHT = "except (ValueError, TypeError, KeyError, RecursionError):"
GIVEN = 'given = signature.encode("latin-1")'
PARSED = "event = json.loads(body)"
REFUSED = "return self.answer(401)"
TAKEN = "        return self.answer(200)"
NO_LENGTH = ('self.send_header("Content-Length", "0")', "pass")


def _then(condition: str, status: int) -> str:
    """The event is parsed, and answered so under a condition."""
    return f"{PARSED}\n            if {condition}:\n                return self.answer({status})"


def _telling(body: str) -> str:
    return f"self.answer(401)\n            return self.wfile.write({body})"


FLAWED: dict[str, tuple[Sequence[tuple[str, str]], str]] = {
    "no check": ([(CHECK, "if False:")], "does not check the signature"),
    "no header, no check": (
        [(CHECK, f'if "X-Prospo-Signature" in self.headers and {CHECK.removeprefix("if ")}')],
        "takes a delivery without a signature",
    ),
    "an empty header, no check": (
        [(CHECK, f'if self.headers.get("X-Prospo-Signature") and {CHECK.removeprefix("if ")}')],
        "takes a delivery without a signature",
    ),
    "8 digits": ([(COMPARED, f"{EXPECTED}[:8] == given[:8]")], "compares only a part"),
    "63 digits": ([(COMPARED, f"{EXPECTED}[:63] == given[:63]")], "compares only a part"),
    "all but the first digit": ([(COMPARED, f"{EXPECTED}[1:] == given[1:]")], "compares only a part"),
    "begins with what was given": ([(COMPARED, f"{EXPECTED}.startswith(given)")], "compares only a part"),
    "what was given begins with it": ([(COMPARED, f"given.startswith({EXPECTED})")], "compares only a part"),
    "it is in what was given": ([(COMPARED, f"{EXPECTED} in given")], "compares only a part"),
    "digit by digit, without the length": (
        [(COMPARED, f"all(a == b for a, b in zip({EXPECTED}, given))")],
        "compares only a part",
    ),
    "one of a list": ([(COMPARED, f"{EXPECTED} in given.split(b',')")], "compares only a part"),
    "base64 as well": (
        [(COMPARED, f"({COMPARED} or given == __import__('base64').b64encode(hmac.digest(key, body, 'sha256')))")],
        "takes other forms",
    ),
    "SHA-1 as well": ([(COMPARED, f"({COMPARED} or {COMPARED.replace('sha256', 'sha1')})")], "takes other forms"),
    "behind sha256=": ([(GIVEN, f"{GIVEN}.removeprefix(b'sha256=')")], "takes other forms"),
    "white space dropped": ([(GIVEN, "given = ''.join(signature.split()).encode('latin-1')")], "takes other forms"),
    "no key": (
        [(COMPARED, f"({COMPARED} or given.decode('latin-1') == __import__('hashlib').sha256(body).hexdigest())")],
        "takes what anybody can compute",
    ),
    "an empty key as well": (
        [(COMPARED, f"({COMPARED} or {COMPARED.replace('key', 'bytes()')})")],
        "takes what anybody can compute",
    ),
    "written anew by json.dumps": (
        [(EXPECTED, EXPECTED.replace("body", "json.dumps(json.loads(body)).encode()"))],
        "re-serialises the parsed body, as json.dumps does",
    ),
    "written anew without spaces": (
        [(EXPECTED, EXPECTED.replace("body", "json.dumps(json.loads(body), separators=(',', ':')).encode()"))],
        "re-serialises the parsed body",
    ),
    "written anew in order": (
        [(EXPECTED, EXPECTED.replace("body", "json.dumps(json.loads(body), sort_keys=True).encode()"))],
        "re-serialises the parsed body",
    ),
    "trimmed": ([(EXPECTED, EXPECTED.replace("body", "body.strip()"))], "trims the body"),
    "without its last newline": ([(EXPECTED, EXPECTED.replace("body", "body.removesuffix(b'\\n')"))], "trims the body"),
    "decoded": (
        [(CHECK, f"body = body.decode(errors='replace').encode()\n        {CHECK}")],
        "decodes the body before it signs it",
    ),
    "an empty body, no check": (
        [(CHECK, f"if not body:\n            return self.answer(200)\n        {CHECK}")],
        "signs only a part of the body",
    ),
    "text compared": (
        [(GIVEN, "given = signature"), (".hexdigest().encode()", ".hexdigest()")],
        "throws on a signature beyond ASCII",
    ),
    "a number compared": ([(COMPARED, f"int({EXPECTED}, 16) == int(given, 16)")], "throws when there is no signature"),
    "lengths that must agree": (
        [(GIVEN, f"{GIVEN}\n    assert len(given) == 64")],
        "throws on a signature of another length",
    ),
    "nothing caught": ([(CAUGHT, "except ZeroDivisionError:")], "throws on a signed body"),
    "deep nesting not caught": ([(CAUGHT, CAUGHT.replace(", RecursionError", ""))], "throws on a signed body"),
    "parsed first": ([(CHECK, f"json.loads(body)\n        {CHECK}")], "parses a body before it has verified it"),
    "JSON alone is checked": (
        [(CHECK, f"if self.headers['Content-Type'] == 'application/json' and {CHECK.removeprefix('if ')}")],
        "checks the signature of some content types or methods only",
    ),
    "PUT unchecked": (
        [("    def do_POST", "    def do_PUT(self):\n        self.answer(200)\n\n    def do_POST")],
        "checks the signature of some content types or methods only",
    ),
    "a repeat is a conflict": (
        [(PARSED, _then('(event["generation_id"], event["event"]) in seen', 409))],
        "takes a repeat for a mistake",
    ),
    "completed alone": (
        [(PARSED, _then('event["event"] != "generation.completed"', 422))],
        "does not take generation.failed in every form",
    ),
    "counts on data": (
        [(PARSED, f'{PARSED}\n            event["data"]["model"]')],
        "does not take generation.failed in every form",
    ),
    "no member but those of the documentation": (
        [(PARSED, _then('len(event.get("data") or ()) > 5', 422))],
        "does not take an event for what else is in it",
    ),
    "10 kB at the most": ([("MAX_BYTES = 1_000_000", "MAX_BYTES = 10_000")], "does not take an event for what else is"),
    "the answer tells": (
        [(REFUSED, _telling("hmac.new(SECRETS[0], body, 'sha256').hexdigest().upper().encode()")), NO_LENGTH],
        "tells what only the provider may know",
    ),
    "the answer tells the secret": (
        [(REFUSED, _telling("b'not by ' + SECRETS[0]")), NO_LENGTH],
        "tells what only the provider may know",
    ),
    "the name of the header in one case": (
        [('self.headers.get("X-Prospo-Signature", "")', 'dict(self.headers.items()).get("X-Prospo-Signature", "")')],
        "knows the header in one case only",
    ),
    "500 for 401": ([(REFUSED, "return self.answer(500)")], "refuses with something else than a 4xx"),
    "302 for 401": ([(REFUSED, "return self.answer(302)")], "refuses with something else than a 4xx"),
    "200 for 401": ([(REFUSED, "return self.answer(200)")], "does not check the signature"),
    "another secret": ([(COMPARED, COMPARED.replace("key,", "key + b'x',"))], "refuses every genuine delivery"),
    "in lower case": ([(EXPECTED, EXPECTED.replace("body", "body.lower()"))], "refuses every genuine delivery"),
    "nothing is taken": ([(TAKEN, "        return self.answer(404)")], "there is no receiver at this URL"),
    "elsewhere": ([(TAKEN, "        return self.answer(307)")], "redirects"),
}
"""What is wrong -> the pieces of the source with it, and the beginning of how the command calls it."""


@pytest.mark.parametrize("flaw", FLAWED)
def test_a_flaw_is_found_and_named(flaw: str) -> None:
    replaced, title = FLAWED[flaw]
    with example(*replaced) as url:
        found = receive(target(url))
    shown = {name for each in found.flaws for name in each.shown_by}
    assert shown, flaw
    assert shown <= failed(found).keys()
    assert any(each.startswith(title) for each in titles(found)), titles(found)
    assert SECRET not in as_json(found)


def test_no_flaw_planted_no_flaw_found() -> None:
    with example() as url:
        found = receive(target(url))
    assert (failed(found), titles(found), as_text(found)) == ({}, [], "")


def test_digits_in_upper_case_are_noted_not_failed() -> None:
    """GAP-77: the documentation leaves the case open."""
    with example((GIVEN, f"{GIVEN}.lower()")) as url:
        found = receive(target(url))
    assert (failed(found), titles(found)) == ({}, [])
    assert [each.delivery.name for each in found.judged if each.outcome == "noted"] == ["odd-upper-case"]


# A right one is never called wrong

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)
LAYOUT = st.fixed_dictionaries(
    {
        "indent": st.none() | st.integers(0, 3) | st.just("\t"),
        "ensure_ascii": st.just(True),
        "sort_keys": st.booleans(),
        "separators": st.sampled_from([(",", ":"), (", ", ": "), (" ,", " :\t")]),
    }
)
SECRETS = st.text(st.characters(codec="utf-8"), min_size=1)


def _delivery(name: str, expected: Any, body: bytes, signing: Any) -> Delivery:
    return Delivery(name, "drawn", expected, RAW, RAW, body, signing, body)


@settings(max_examples=40)
@given(SECRETS, JSON, LAYOUT, st.binary(max_size=200))
def test_a_right_receiver_is_never_called_wrong(secret: str, data: Any, layout: dict[str, Any], other: bytes) -> None:
    event = {"event": "generation.completed", "generation_id": "gen_1", "data": data}
    body = json.dumps(event, **layout).encode()
    drawn = [
        _delivery("genuine", "taken", body, GENUINE),
        _delivery("forged", "refused", body, ZEROS),
        _delivery("forged-other", "refused", other, ZEROS),
        _delivery("odd", "answered", other, GENUINE),
    ]
    with example(secret=secret) as url:
        found = receive(target(url, secret), drawn)
    assert (failed(found), [each.outcome for each in found.judged]) == ({}, ["passed"] * 4)


@settings(max_examples=5)
@given(SECRETS)
def test_nor_is_it_by_what_the_command_sends(secret: str) -> None:
    with example(secret=secret) as url:
        found = receive(target(url, secret))
    assert (failed(found), found.flaws) == ({}, ())
    assert not any(each.outcome == "skipped" for each in found.judged)


# Receivers that behave badly


def _answer(request: BaseHTTPRequestHandler, status: int, body: bytes = b"", **headers: str) -> None:
    request.send_response(status)
    for name, value in headers.items():
        request.send_header(name.replace("_", "-"), value)
    request.end_headers()
    request.wfile.write(body)


def test_nobody_there_is_unreachable(prospec: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening_once:
        port = listening_once.getsockname()[1]
    url = f"http://127.0.0.1:{port}/hook-of-mine"
    with pytest.raises(UnreachableError):
        receive(target(url))
    ran = prospec("conformance", "receiver", "--url", url, env={"PROSPOLABS_WEBHOOK_SECRET": SECRET})
    assert (ran.returncode, ran.stdout) == (3, "")
    assert "hook-of-mine" not in ran.stderr


def test_one_that_never_answers_ends_the_run_early() -> None:
    with listening(answering(lambda request, body: time.sleep(3))) as url:
        started = time.monotonic()
        found = receive(target(url, timeout_s=0.2))
        assert time.monotonic() - started < 30
    assert [each.outcome for each in found.judged[:4]] == ["failed", "failed", "failed", "skipped"]
    assert titles(found) == ["answers no genuine delivery at all"]


def test_an_answer_that_comes_in_drops_is_late() -> None:
    def drip(request: BaseHTTPRequestHandler, body: bytes) -> None:
        for _ in range(200):
            request.wfile.write(b"H")
            request.wfile.flush()
            time.sleep(0.05)

    with listening(answering(drip)) as url:
        found = receive(target(url, timeout_s=0.5), [ALL["genuine-compact"]])
    assert failed(found) == {"genuine-compact": "got no whole answer in time; expected 2xx"}


def test_an_answer_without_end_is_read_no_further_than_it_is_shown() -> None:
    def pour(request: BaseHTTPRequestHandler, body: bytes) -> None:
        _answer(request, 401)
        while True:
            request.wfile.write(b"x" * 65536)

    with listening(answering(pour)) as url:
        found = receive(target(url), [ALL["forged-zeros"]])
    (judged,) = found.judged
    assert judged.outcome == "passed"
    assert judged.answer
    assert len(judged.answer.body) == 2000


def test_one_that_is_gone_in_the_middle_is_told_once() -> None:
    came: list[bytes] = []
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            for _ in range(3):
                connection, _ = server.accept()
                came.append(connection.recv(65536))
                connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n")
                connection.close()
            server.close()

        thread = threading.Thread(target=serve)
        thread.start()
        found = receive(target(f"http://127.0.0.1:{server.getsockname()[1]}/"))
        thread.join()
    outcomes = [each.outcome for each in found.judged]
    assert outcomes[:5] == ["passed", "passed", "passed", "failed", "skipped"]
    assert set(outcomes[5:]) == {"skipped"}
    assert "the delivery before may have ended it" in found.judged[3].reason


def test_one_that_is_no_http_server_is_not_asked_to_be_understood() -> None:
    def babble(request: BaseHTTPRequestHandler, body: bytes) -> None:
        request.wfile.write(b"\x00\xffSSH-2.0\r\n\r\n")

    with listening(answering(babble)) as url:
        found = receive(target(url), list(ALL.values())[:3])
    assert {each.reason for each in found.judged} == {"the connection ended without an answer; expected 2xx"}


def test_its_rate_limit_is_no_flaw_and_no_pass(prospec: Run) -> None:
    with listening(answering(lambda request, body: _answer(request, 429))) as url:
        ran = prospec("conformance", "receiver", "--url", url, env={"PROSPOLABS_WEBHOOK_SECRET": SECRET})
    assert ran.returncode == 3
    assert ran.stdout.startswith("skipped ")
    assert ran.stdout.endswith("was answered 429, the receiver's rate limit\n")
    assert ran.stdout.count("\n") == 1
    assert "Not everything was judged." in ran.stderr


def test_a_rate_limit_in_the_middle_explains_no_refusal() -> None:
    came: list[bytes] = []

    def limit(request: BaseHTTPRequestHandler, body: bytes) -> None:
        came.append(body)
        _answer(request, 200 if len(came) <= 3 else 429)

    with listening(answering(limit)) as url:
        found = receive(target(url))
    assert [each.outcome for each in found.judged] == ["passed"] * 3 + ["skipped"] * (len(ALL) - 3)
    assert not found.flaws


def test_no_redirect_is_followed_and_no_cookie_kept() -> None:
    seen: list[tuple[str, str | None]] = []

    def redirect(request: BaseHTTPRequestHandler, body: bytes) -> None:
        seen.append((request.path, request.headers["Cookie"]))
        _answer(request, 307, Location="/elsewhere", Set_Cookie="a=b; Path=/")

    with listening(answering(redirect)) as url:
        found = receive(target(url))
    assert set(seen) == {("/hook-of-mine", None)}
    assert titles(found) == ["redirects"]


def test_no_proxy_stands_between_it_and_this_machine(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.setenv(name, "http://127.0.0.1:9")
    with example() as url:
        assert not failed(receive(target(url), [ALL["genuine-compact"]]))


def test_a_body_of_5_mb_may_cost_the_connection() -> None:
    class HangsUp(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            self.connection.close()
            self.close_connection = True

    with listening(HangsUp) as url:
        found = receive(target(url), [ALL["odd-huge"], ALL["genuine-compact"]])
    assert len(ALL["odd-huge"].body) > HUGE_BYTES
    assert [each.outcome for each in found.judged] == ["passed", "failed"]


def test_nothing_that_it_says_is_a_secret_or_steers_a_terminal(prospec: Run, tmp_path: Path) -> None:
    secret = "whsec-Äß-very-secret"
    told: set[str] = set()

    def tell(request: BaseHTTPRequestHandler, body: bytes) -> None:
        genuine = genuine_signature(secret, body)
        told.add(genuine)
        text = f"\033[2J::error::{secret} {genuine.upper()} {request.path} {secret.encode().hex()}"
        _answer(request, 500, text.encode())

    with listening(answering(tell)) as url:
        arguments = ("conformance", "receiver", "--url", f"{url}?key=of-the-receiver", "--report-dir", str(tmp_path))
        ran = prospec(*arguments, env={"PROSPOLABS_WEBHOOK_SECRET": secret})
    assert ran.returncode == 1
    assert len(told) > 80
    for text in (ran.stdout, ran.stderr, (tmp_path / "report.json").read_text("utf-8")):
        for hidden in (secret, "very-secret", "hook-of-mine", "of-the-receiver", secret.encode().hex(), *told):
            assert hidden.lower() not in text.lower()
        assert "\033" not in text
    assert "[redacted]" in ran.stdout


# The command


@pytest.mark.parametrize(
    ("arguments", "secret", "told"),
    [
        ((), SECRET, "--url"),
        (("--url", "localhost:8000"), SECRET, "http(s)://host:port"),
        (("--url", "ftp://127.0.0.1/"), SECRET, "http(s)://host:port"),
        (("--url", "http://user:hidden@127.0.0.1/"), SECRET, "no user"),
        (("--url", "http://127.0.0.1:99999/"), SECRET, "can exist"),
        (("--url", "http://127.0.0.1:0/"), SECRET, "can exist"),
        (("--url", "http://127.0.0.1:9/"), "", "PROSPOLABS_WEBHOOK_SECRET is not set"),
        (("--url", "http://127.0.0.1:9/"), "whsec-\udcff", "no UTF-8"),
        (("--url", "http://127.0.0.1:9/", "--timeout-s", "0"), SECRET, "--timeout-s"),
        (("--url", "http://127.0.0.1:9/", "--timeout-s", "nan"), SECRET, "--timeout-s"),
        (("--url", "http://127.0.0.1:9/", "--timeout-s", "soon"), SECRET, "timeout-s"),
    ],
)
def test_a_wrong_argument_is_told(prospec: Run, arguments: tuple[str, ...], secret: str, told: str) -> None:
    ran = prospec("conformance", "receiver", *arguments, env={"PROSPOLABS_WEBHOOK_SECRET": secret})
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert "hidden" not in ran.stderr


def test_a_clean_run_says_little_and_writes_its_report(prospec: Run, tmp_path: Path) -> None:
    folder = tmp_path / "new"
    with example() as url:
        arguments = ("conformance", "receiver", "--url", url, "--report-dir", str(folder))
        ran = prospec(*arguments, env={"PROSPOLABS_WEBHOOK_SECRET": SECRET})
    assert (ran.returncode, ran.stdout) == (0, ""), ran.stdout
    assert "passed" in ran.stderr
    assert [path.name for path in folder.iterdir()] == ["report.json"]
    report = json.loads((folder / "report.json").read_text("utf-8"))
    assert report["receiver"] == url.removesuffix("/hook-of-mine")
    assert (report["complete"], report["flaws"]) == (True, [])
    assert [each["name"] for each in report["deliveries"]] == list(ALL)


def test_a_report_that_cannot_be_written_is_told(prospec: Run, tmp_path: Path) -> None:
    (tmp_path / "taken").write_text("")
    with example() as url:
        arguments = ("conformance", "receiver", "--url", url, "--report-dir", str(tmp_path / "taken"))
        ran = prospec(*arguments, env={"PROSPOLABS_WEBHOOK_SECRET": SECRET})
    assert ran.returncode == 2
    assert "cannot be written" in ran.stderr
