"""What a run leaves behind: readable whatever a server said, runnable where it says so, and no secret in it.

The server here is hostile: it echoes keys in every encoding, and answers with what breaks parsers, pages and terminals.
"""

from __future__ import annotations

import base64
import html as standard_html
import json
import os
import re
import subprocess
import sys
import threading
import xml.etree.ElementTree as ElementTree
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import quote
from xml.parsers import expat

import httpx2
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from jsonschema import Draft202012Validator
from prospec.loader import load, spec_root
from prospec_conformance.confirm import Again
from prospec_conformance.curl import command
from prospec_conformance.implementation import Exchange, Target
from prospec_conformance.mock import ENVIRONMENT
from prospec_conformance.outcome import Outcome, Verdict, summed
from prospec_conformance.redaction import Redaction
from prospec_conformance.report import Report, as_json, as_text, conclusion
from prospec_conformance.reports import html, junit, summary
from prospec_conformance.run import write
from prospec_conformance.samples import Padded

SPEC = load(trusted=True)
SCHEMA = Draft202012Validator(json.loads((spec_root() / "schema" / "report.json").read_text("utf-8")))
FILES = {"report.json", "report.html", "junit.xml", "summary.md"}
HOSTILE = (
    "</script><script>alert(1)</script>",
    "<!-- <script> <img src=x onerror=alert(1)>",
    "]]>&amp;<![CDATA[",
    "\x00\x01\x1b[31mred\x1b[0m\x7f\x9b",
    "\ud800 alone, \udfff too",
    "::error file=x::gotcha\n##[group]",
    "| a | b |\n# title\n```\n~~~ @somebody [x](http://x.test) $a$ <b>",
    "\u202egnp.exe\u2066",
    "x" * 100_000,
    "\r\n\u2028\u2029\ufeff\uffff",
    '\'; rm -rf "$HOME" `id` $(id) !!',
)
TEXTS = st.one_of(st.sampled_from(HOSTILE), st.text(st.characters(), max_size=60))


def exchange(said: str = "{}", *, sent: Any = None, path: str = "/v1/generate?async=true", **headers: str) -> Exchange:
    body = said.encode("utf-8", "surrogatepass")
    return Exchange("POST", path, headers, {"model": said} if sent is None else sent, 200, httpx2.Headers(), body)


def report_of(*texts: str, target: Target | None = None, complete: bool = True) -> Report:
    """A report with a finding of each outcome for each text."""
    outcomes: tuple[Outcome, ...] = ("failed", "warned", "error", "skipped", "passed")
    verdicts = [
        Verdict(requirement, "kling-o3", "text", f"field {number} {outcome}", outcome, text, (exchange(text),))
        for number, text in enumerate(texts)
        for outcome, requirement in zip(outcomes, ("AUTH-01", "ERR-02", "GEN-01", "BAL-01", "RATE-01"), strict=True)
    ]
    again = {
        verdict.id: Again("confirmed", text, exchange(text)) for text, verdict in zip(texts, verdicts, strict=False)
    }
    return Report(
        target=target or Target("http://127.0.0.1:1", "prsp-key-of-nobody"),
        seed=1,
        complete=complete,
        spend_usd=0.5,
        requests=len(verdicts),
        seconds=1.0,
        summed=tuple(summed(SPEC.requirements, verdicts, {verdict.requirement for verdict in verdicts})),
        spec=SPEC,
        exchanges=tuple(each for verdict in verdicts for each in verdict.exchanges),
        again=again,
    )


def test_the_schema_of_the_report_is_one_and_asks_for_every_member() -> None:
    Draft202012Validator.check_schema(SCHEMA.schema)
    document = json.loads(as_json(report_of("one", *HOSTILE)))
    SCHEMA.validate(document)
    for name in SCHEMA.schema["required"]:
        assert not SCHEMA.is_valid({key: value for key, value in document.items() if key != name})


@given(texts=st.lists(TEXTS, min_size=1, max_size=3))
@settings(deadline=None, max_examples=60)
def test_every_format_stays_readable_whatever_a_server_said(texts: list[str]) -> None:
    report = report_of(*texts)
    SCHEMA.validate(json.loads(as_json(report)))
    told = as_text(report)
    assert not [line for line in told.split("\n") if not line.isprintable()]
    assert "\n::" not in told
    assert "##[" not in told
    root = parsed(junit.render(report.document))
    assert len(root.findall(".//failure")) == len(texts)
    page = html.render(report.document).encode("utf-8", "backslashreplace").decode()
    assert page.count("<script") == 2
    assert data_of(page)["requests"] == 5 * len(texts)
    assert len(summary.render(report.document).encode("utf-8", "replace")) < 65_536


def parsed(text: str) -> ElementTree.Element:
    """By two parsers, one of them as strict as there is."""
    written = text.encode("utf-8")
    expat.ParserCreate().Parse(written, True)
    return ElementTree.fromstring(written)


def data_of(page: str) -> dict[str, Any]:
    (text,) = re.findall(r'<script type="application/json" id="report">(.*?)</script>', page, re.DOTALL)
    return dict(json.loads(text))


SHAPE = {
    "testsuites": ({"name", "tests", "failures", "errors", "time"}, {"skipped", "disabled"}, ("testsuite",)),
    "testsuite": (
        {"id", "name", "package", "timestamp", "hostname", "tests", "failures", "errors", "time"},
        {"skipped", "disabled"},
        ("properties", "testcase", "system-out", "system-err"),
    ),
    "properties": (set(), set(), ("property",)),
    "property": ({"name", "value"}, set(), ()),
    "testcase": ({"name", "classname", "time"}, set(), ("skipped", "error", "failure", "system-out", "system-err")),
    "skipped": (set(), {"message", "type"}, ()),
    "failure": ({"type"}, {"message"}, ()),
    "error": ({"type"}, {"message"}, ()),
    "system-out": (set(), set(), ()),
    "system-err": (set(), set(), ()),
}
"""The schema that readers of JUnit files share: attributes that must be there, that may be, and children in order."""


def test_junit_has_the_shape_that_readers_share_and_a_case_for_everything() -> None:
    report = report_of("one", "two")
    root = parsed(junit.render(report.document))
    for element in root.iter():
        required, allowed, order = SHAPE[element.tag]
        assert required <= set(element.keys()) <= required | allowed, element.tag
        places = [order.index(child.tag) for child in element]
        assert places == sorted(places), element.tag
    cases = root.findall(".//testcase")
    without = [each for each in report.summed if not each.verdicts]
    assert len(cases) == 10 + len(without)
    assert len({(case.get("classname"), case.get("name")) for case in cases}) == len(cases)
    assert {case.get("classname") for case in cases} == {each.id for each in SPEC.requirements}
    for total, tag in (("failures", "failure"), ("errors", "error"), ("skipped", "skipped"), ("tests", "testcase")):
        assert int(root.get(total, "")) == len(root.findall(f".//{tag}"))
    properties = {each.get("name"): each.get("value") for each in root.findall(".//property")}
    assert (properties["seed"], properties["target"]) == ("1", "http://127.0.0.1:1")


def test_the_summary_has_findings_first_and_says_what_did_not_fit() -> None:
    many = summary.render(report_of(*(f"{number} {'x' * 3000}" for number in range(60))).document)
    assert len(many.encode()) < 65_536
    whole = summary.render(report_of("why").document)
    assert whole.index("## Failed") < whole.index("## Warned") < whole.index("## Readings")
    assert "more parts" not in whole
    assert "The run was not finished" in summary.render(report_of("why", complete=False).document)


@given(text=TEXTS)
@settings(deadline=None, max_examples=60)
def test_the_summary_has_no_markup_of_a_server(text: str) -> None:
    made = summary.render(report_of(text).document)
    fences = list(re.finditer(r"^(`{3,})[a-z]*\n(.*?)\n\1$", made, re.DOTALL | re.MULTILINE))
    outside = re.sub(r"^(`{3,})[a-z]*\n.*?\n\1$", "", made, flags=re.DOTALL | re.MULTILINE)
    assert len(fences) >= 2
    assert not re.search(r"(?<!\\)<", re.sub(r"(`+).*?\1", "", outside))
    titles = [line for line in outside.split("\n") if line.startswith("#")]
    known = ("# Conformance of ", "## Errors of the suite", "## Failed", "## Warned", "## Readings", "### ")
    assert all(title.startswith(known) for title in titles)


SECRETS = {
    "PROSPOLABS_API_KEY": "prsp-canary1-6fK3xQ9",
    "PROSPOLABS_SECOND_API_KEY": "other-canary2/+Zq=8Lm",
    "PROSPOLABS_WEBHOOK_SECRET": 'hook-canary3-Vt5"yB2',
    "PROSPEC_MOCK_TOKEN": "steer-canary4-Hn7Wc1",
}
FORMS = {
    "a foreign key": "prsp-canary5-Rd4Js0",
    "an upload token": "pl-upload-canary6-Ga2Te9",
    "another upload token": "opaquecanary7Ub3Mk6",
    "a signed URL": "canary8Pw1Xo5",
    "a signature": "canary9Cy6Lv3",
    "a password": "canary10Fs8Dh2",
    "a webhook's query": "canary11Ei7Na4",
    "an escaped URL": "canary12Kz0Gu5",
}


def said(key: str) -> str:
    """What a hostile server answers: every secret in every encoding, one of them across the end of what is shown."""
    parts: dict[str, str] = {}
    for name, secret in SECRETS.items():
        raw = secret.encode()
        encoded = [secret, quote(secret, safe=""), raw.hex(), raw.hex().upper(), secret.upper(), secret[:-1]]
        encoded += [base64.b64encode(b"x" * pad + raw).decode() for pad in range(3)]
        encoded += [base64.urlsafe_b64encode(raw).decode(), "".join(f"\\u{ord(each):04x}" for each in secret)]
        encoded += ["".join(f"%{each:02X}" for each in raw), "".join(f"&#{each};" for each in raw)]
        parts[name.lower().replace("_", "-")] = " | ".join(encoded)
    parts["other"] = FORMS["a foreign key"] + " " + FORMS["an upload token"]
    parts["output_url"] = f"https://u:{FORMS['a password']}@cdn.test/a.mp4?token={FORMS['a signed URL']}&x=1"
    parts["link"] = f"/a.mp4?X-Amz-Signature={FORMS['a signature']}"
    parts["webhook_url"] = f"https://hook.test/in?k={FORMS['a webhook' + chr(39) + 's query']}"
    parts["token"] = FORMS["another upload token"]
    parts["echo"] = key
    text = json.dumps(parts)
    escaped = '"escaped": "https:\\/\\/cdn.test\\/b.png?k=' + FORMS["an escaped URL"] + '"'
    text = text[:-1] + ", " + escaped + "}"
    # The key stands across the 2,000th character of what is left when the rest was taken out, and of the whole.
    return " " * max(0, 1990 - len(text) % 2000) + SECRETS["PROSPOLABS_API_KEY"] + text


@pytest.fixture
def gossip() -> Iterator[str]:
    """The base URL of a server that tells everything to everybody."""

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_GET(self) -> None:
            self.rfile.read(int(self.headers.get("Content-Length") or 0))
            key = self.headers.get("Authorization") or ""
            body = said(key)
            if not self.path.startswith("/v1/balance"):
                body = body.strip().removeprefix(SECRETS["PROSPOLABS_API_KEY"])
            raw = body.encode()
            # Nobody steers it, so the suite is not to believe that it is a mock of ours.
            self.send_response(
                404
                if "__mock" in self.path
                else {"GET": 200, "PUT": 201}.get(self.command, 200 if "uploads" in self.path else 418)
            )
            self.send_header("X-Echo", quote(key))
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(raw)))
            self.end_headers()
            self.wfile.write(raw)

        do_POST = do_PUT = do_GET  # noqa: N815 - names of the library

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}"
    server.shutdown()
    server.server_close()


def spoken_forms(secret: str) -> set[str]:
    """A secret as somebody may find it, lower case. Written without a look at how they are taken out."""
    raw = secret.encode()
    found = {secret, secret[::-1], quote(secret, safe=""), json.dumps(secret)[1:-1], standard_html.escape(secret)}
    found |= {raw.hex(), "".join(f"%{each:02x}" for each in raw), "".join(f"&#{each};" for each in raw)}
    found |= {"".join(f"\\u{ord(each):04x}" for each in secret), "".join(f"\\\\u{ord(each):04x}" for each in secret)}
    found |= {base64.b64encode(b"x" * pad + raw).decode()[4:-4] for pad in range(3)}
    found |= {secret[at : at + 10] for at in range(len(secret) - 9)}
    # How every upload token begins is no secret.
    return {each.lower() for each in found} - {"pl-upload-"}


def leaks(text: str) -> list[str]:
    lower = text.lower()
    secrets = [*SECRETS.values(), *FORMS.values()]
    return [form for secret in secrets for form in spoken_forms(secret) if form in lower]


def test_the_search_for_leaks_finds_them() -> None:
    for secret in (*SECRETS.values(), *FORMS.values()):
        assert leaks(f"x{secret[-10:]}y")
        assert leaks(base64.b64encode(f"ab{secret}cd".encode()).decode())
    assert len(leaks(said("Bearer x"))) > 40
    assert not leaks("nothing of the kind")


def test_no_secret_gets_out_by_any_way(gossip: str, tmp_path: Path) -> None:
    """Through every file and both streams."""
    arguments = [sys.executable, "-m", "prospec", "conformance", "run", "--base-url", gossip]
    arguments += ["--only", "AUTH,ERR,UPLOAD", "--examples", "0", "--report-dir", "out"]
    ran = subprocess.run(
        arguments,
        cwd=tmp_path,
        env={**os.environ, **SECRETS},
        capture_output=True,
        text=True,
        timeout=200,
        check=False,
    )
    assert "Traceback" not in ran.stderr
    assert ran.returncode in (1, 3), ran.stderr
    assert {path.name for path in (tmp_path / "out").iterdir()} == FILES
    told = {path.name: path.read_text("utf-8") for path in (tmp_path / "out").iterdir()}
    told |= {"stdout": ran.stdout, "stderr": ran.stderr}
    assert {name: leaks(text) for name, text in told.items() if leaks(text)} == {}
    # It was not the run that had nothing to tell.
    assert "[redacted]" in told["report.json"]
    assert "$PROSPOLABS_API_KEY" in told["report.json"]
    evidence = [
        each for requirement in json.loads(told["report.json"])["requirements"] for each in requirement["evidence"]
    ]
    assert any("cdn.test" in each["answer"] for each in evidence)


@given(st.data())
@settings(deadline=None, max_examples=150)
def test_a_secret_is_taken_out_wherever_it_stands_and_the_rest_stays(data: st.DataObject) -> None:
    secret = data.draw(st.text('abcdefXYZ0123456789-_/+="\\é', min_size=12, max_size=40))
    before, after = data.draw(st.text("ghijkl \n", max_size=30)), data.draw(st.text("mnopqr \n", max_size=30))
    redact = Redaction([secret])
    assert redact(f"{before}{secret}{after}") == f"{before}[redacted]{after}"
    form = data.draw(
        st.sampled_from(
            sorted(
                {
                    secret,
                    secret.swapcase() if secret.isascii() else secret,
                    quote(secret, safe=""),
                    secret.encode().hex(),
                }
            )
        )
    )
    assert form.lower() not in redact(f"{before}{form}{after}").lower()
    assert redact(before + after) == before + after
    encoded = base64.b64encode((before + secret + after).encode()).decode()
    inner = base64.b64encode(secret.encode()).decode().rstrip("=")
    assert inner not in redact(encoded)
    assert secret not in repr(redact)


def test_a_secret_that_a_cut_goes_through_leaves_no_beginning() -> None:
    secret = "canary-0123456789-abcdefghij"
    redact = Redaction([secret])
    for size in (1990, 65_530, 70_000):
        shown = redact.beginning("." * size + secret + "." * 100, 2000)
        assert secret[:10] not in shown
        assert len(shown) <= 2000


@pytest.mark.parametrize(
    "sent",
    [
        {"model": 'it\'s "quoted" $HOME `id` \\ \n é \u202e', "params": {}},
        b'{"raw": "it\'s"}',
        b"@/etc/hostname",
        b"%s \\n -n not JSON\xff\x00\x01",
        Padded(b"\x89PNG", 5_000_000),
        b"",
        None,
    ],
    ids=["json", "text", "at", "bytes", "megabytes", "empty", "none"],
)
@pytest.mark.parametrize("key", ["prsp-mine-1234", "o'other\"$x"])
def test_the_command_sends_what_was_sent(sent: Any, key: str, tool: Any) -> None:
    """In a real shell, to a real socket, with the secrets in the environment alone."""
    tool("curl")
    came: list[tuple[str, bytes, dict[str, str]]] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
            came.append((self.path, body, dict(self.headers)))
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: Any) -> None:
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    plain = "second-account-77"
    target = Target(f"http://127.0.0.1:{server.server_port}", key, plain, "hook-secret", "control-tok")
    headers = {
        "Authorization": f"Bearer {key}",
        "X-Odd": "a 'b' \"c\" $d",
        "X-Other": "second-account-77x second-account-7",
    }
    made = command(exchange(sent=sent or b"", **headers), target, Redaction(target.secrets))
    if sent is None:
        made = command(
            Exchange("POST", f"/v1/x?a=1&key={plain}", headers, None, 0, httpx2.Headers(), b""), target, Redaction([])
        )
    assert made.is_whole
    assert not any(secret in made.text for secret in target.secrets)
    variables = {variable: getattr(target, name) for name, variable in ENVIRONMENT.items()}
    ran = subprocess.run(["sh", "-c", made.text], env={**os.environ, **variables}, capture_output=True, check=False)
    server.shutdown()
    server.server_close()
    assert ran.returncode == 0, ran.stderr
    ((path, body, got),) = came
    expected = b"" if sent is None else b"".join(sent) if isinstance(sent, Padded) else sent
    if isinstance(sent, dict):
        expected = json.dumps(sent).encode()
    assert body == expected
    assert path == (f"/v1/x?a=1&key={plain}" if sent is None else "/v1/generate?async=true")
    assert {name: got.get(name) for name in headers} == headers


def test_a_command_that_cannot_be_whole_says_so() -> None:
    target = Target("http://127.0.0.1:1", "prsp-mine-1234")
    redact = Redaction(target.secrets)
    for sent in (b"\xff" * 100_000, {"prompt": "x" * 100_000}, {"token": "pl-upload-abcdef"}):
        made = command(exchange(sent=sent), target, redact)
        assert not made.is_whole
        assert len(made.text) < 50_000


def test_files_are_written_whole_or_not_at_all(tmp_path: Path) -> None:
    folder = tmp_path / "deep" / "out"
    assert write(report_of(*HOSTILE), folder) == folder / "report.html"
    assert {path.name for path in folder.iterdir()} == FILES
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    (folder / ".junit.xml.part").mkdir()
    with pytest.raises(OSError, match="part"):
        write(report_of("other"), folder)
    assert (folder / "junit.xml").read_bytes() == before["junit.xml"]
    SCHEMA.validate(json.loads((folder / "report.json").read_bytes()))


def test_the_conclusion_says_when_a_run_was_not_finished() -> None:
    assert "not finished" in conclusion(report_of("x", complete=False))
    assert "not finished" not in conclusion(report_of("x"))
