"""`prospec webhook sign|verify|listen|trigger`: what they print, what they send, and with which exit code they end.

What is genuine is in test_webhooks.py.
"""

from __future__ import annotations

import hmac
import json
import os
import queue
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler
from pathlib import Path

import httpx2
import pytest
from conftest import QUIET, Run
from prospec import webhook_command
from prospec.ir import Spec
from prospec.webhook_command import MAX_BYTES
from prospo.webhooks import SIGNATURE_HEADER, CompletedEvent, FailedEvent, sign, unwrap
from test_imports import base_install
from test_receiver_command import listening

SECRET, OLD_SECRET = "whsec-canary-71b3", "whsec-canary-old"
ENV = {"PROSPOLABS_WEBHOOK_SECRET": SECRET}
BODY = b'{"event":"generation.completed","generation_id":"gen_1","data":{"cost_usd":0.40}}'
PATIENCE_S = 60.0


# A receiver in this process


@dataclass
class Came:
    """A delivery, as a receiver of somebody gets it."""

    path: str
    headers: list[tuple[str, str]]
    body: bytes


@contextmanager
def receiver(status: int = 200) -> Iterator[tuple[str, queue.Queue[Came]]]:
    came: queue.Queue[Came] = queue.Queue()

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            came.put(Came(self.path, self.headers.items(), body))
            self.send_response(status)
            self.send_header("Location", "/elsewhere")
            self.send_header("Content-Length", "0")
            self.end_headers()

    with listening(Handler) as url:
        yield url, came


# The listener as a process


@dataclass
class Listener:
    """`prospec webhook listen`, and what it has printed."""

    url: str
    process: subprocess.Popen[bytes]
    out: Path
    err: Path

    def lines(self) -> list[str]:
        return self.out.read_text("utf-8").splitlines()

    def send(self, body: bytes, signature: str | None, **headers: str) -> int:
        with httpx2.Client(trust_env=False, timeout=PATIENCE_S) as client:
            named = headers if signature is None else {SIGNATURE_HEADER: signature, **headers}
            sent = {name.encode(): value.encode("latin-1") for name, value in named.items()}
            return client.post(self.url, content=body, headers=sent).status_code

    def ended(self) -> int:
        return self.process.wait(PATIENCE_S)

    def stop(self, number: signal.Signals = signal.SIGINT) -> int:
        self.process.send_signal(number)
        return self.ended()


Listen = Callable[..., Listener]


@pytest.fixture
def listen(tmp_path: Path) -> Iterator[Listen]:
    running: list[subprocess.Popen[bytes]] = []

    def start(*arguments: str, env: Mapping[str, str] = ENV) -> Listener:
        out, err = tmp_path / f"out{len(running)}.txt", tmp_path / f"err{len(running)}.txt"
        with out.open("wb") as stdout, err.open("wb") as stderr:
            command = [sys.executable, "-m", "prospec", "webhook", "listen", *arguments]
            process = subprocess.Popen(command, env={**QUIET, **env}, stdout=stdout, stderr=stderr)
        running.append(process)
        ends = time.monotonic() + PATIENCE_S
        while b"waiting for deliveries" not in err.read_bytes():
            assert process.poll() is None, err.read_text("utf-8")
            assert time.monotonic() < ends
            time.sleep(0.02)
        first = out.read_text("utf-8").splitlines()[0]
        return Listener(json.loads(first)["url"] if first.startswith("{") else first, process, out, err)

    yield start
    for process in running:
        process.kill()
        process.wait()


# sign and verify


def test_sign_prints_the_signature_of_the_very_bytes(prospec: Run, tmp_path: Path) -> None:
    for body in (BODY, BODY + b"\n", b"", b"\xff\x00\r\n", b"x" * 3_000_000):
        file = tmp_path / "body"
        file.write_bytes(body)
        expected = (0, hmac.new(SECRET.encode(), body, "sha256").hexdigest() + "\n", "")
        for ran in (
            prospec("webhook", "sign", str(file), env=ENV),
            prospec("webhook", "sign", "-", stdin=body, env=ENV),
            prospec("webhook", "sign", stdin=body, env=ENV),
        ):
            assert (ran.returncode, ran.stdout, ran.stderr) == expected


def test_verify_gives_the_verdict_of_every_vector_of_one_secret(prospec: Run, spec: Spec) -> None:
    fit = [
        each
        for each in spec.vectors.webhooks
        if "body" in each and len(each["secrets"]) == 1 and each["signature"] and "\0" not in each["signature"]
    ]
    assert len(fit) > 120
    for vector in fit:
        env = {"PROSPOLABS_WEBHOOK_SECRET": vector["secrets"][0]}
        ran = prospec("webhook", "verify", f"--signature={vector['signature']}", stdin=vector["body"].encode(), env=env)
        assert ran.returncode == (0 if vector["valid"] else 1), (vector["id"], ran.stderr)
        assert ran.stdout.startswith("genuine\n" if vector["valid"] else "refused: "), vector["id"]


def test_verify_takes_the_old_secret_as_well(prospec: Run) -> None:
    signature = sign(BODY, OLD_SECRET)
    env = {**ENV, "PROSPOLABS_WEBHOOK_OLD_SECRET": OLD_SECRET}
    assert prospec("webhook", "verify", "--signature", signature, stdin=BODY, env=env).returncode == 0
    assert prospec("webhook", "verify", "--signature", signature, stdin=BODY, env=ENV).returncode == 1


def test_verify_in_json(prospec: Run) -> None:
    for signature, expected in (
        (sign(BODY, SECRET), {"genuine": True, "reason": None}),
        ("0" * 64, {"genuine": False, "reason": "mismatch"}),
        ("", {"genuine": False, "reason": "missing"}),
    ):
        ran = prospec("webhook", "verify", "--signature", signature, "--format", "json", stdin=BODY, env=ENV)
        assert json.loads(ran.stdout) == expected
        assert ran.returncode == (0 if expected["genuine"] else 1)


def test_a_line_s_end_that_an_editor_added_is_told(prospec: Run) -> None:
    for end in (b"\n", b"\r\n"):
        ran = prospec("webhook", "verify", "--signature", sign(BODY, SECRET), stdin=BODY + end, env=ENV)
        assert ran.returncode == 1
        assert "without the line's end" in ran.stderr
    ran = prospec("webhook", "verify", "--signature", "0" * 64, stdin=BODY + b"\n", env=ENV)
    assert (ran.returncode, ran.stderr) == (1, "")


# trigger


@pytest.mark.parametrize("event", ["completed", "failed"])
def test_trigger_sends_one_genuine_event(prospec: Run, event: str) -> None:
    with receiver(204) as (url, came):
        ran = prospec(
            "webhook", "trigger", "--url", f"{url}?a=1&b=2", "--event", event, "--generation-id", 'gen_"é', env=ENV
        )
        assert (ran.returncode, ran.stderr) == (0, "")
        assert re.fullmatch(rf'204  generation\.{event} gen_"é, \d+ bytes, \d+ ms\n', ran.stdout)
        delivery = came.get_nowait()
        assert came.empty()
    headers = dict(delivery.headers)
    assert delivery.path == "/hook-of-mine?a=1&b=2"
    assert headers["Content-Type"] == "application/json"
    told = unwrap(delivery.body, headers[SIGNATURE_HEADER], SECRET, max_age_s=600)
    assert isinstance(told, CompletedEvent if event == "completed" else FailedEvent)
    assert (told.generation_id, told.model) == ('gen_"é', "veo-3-1-lite")
    # A receiver that re-serialises the body loses the zero, and shows itself.
    assert (b'"cost_usd":0.40,' in delivery.body) is (event == "completed")


@pytest.mark.parametrize(("status", "code"), [(200, 0), (299, 0), (302, 1), (401, 1), (500, 1)])
def test_trigger_ends_as_the_provider_would_judge_the_answer(prospec: Run, status: int, code: int) -> None:
    with receiver(status) as (url, came):
        ran = prospec("webhook", "trigger", "--url", url, "--format", "json", env=ENV)
        assert came.qsize() == 1, "no redirect is followed and nothing is retried"
    assert ran.returncode == code
    shown = json.loads(ran.stdout)
    assert shown.pop("took_ms") >= 0
    assert shown == {"event": "generation.completed", "generation_id": "gen_sample", "status": status}
    assert (f"would count {status} as failed" in ran.stderr) is bool(code)


def test_a_receiver_that_is_not_there_or_does_not_answer_is_unreachable(prospec: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as mute:
        port = mute.getsockname()[1]
        ran = prospec("webhook", "trigger", "--url", f"http://127.0.0.1:{port}/?t=x", "--timeout-s", "0.2", env=ENV)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert ran.stderr == f"no answer from http://127.0.0.1:{port}: it took too long\n"
    for url in (f"http://127.0.0.1:{port}/?t=x", f"https://127.0.0.1:{port}/?t=x", "http://a..b/"):
        ran = prospec("webhook", "trigger", "--url", url, env=ENV)
        assert (ran.returncode, ran.stdout) == (3, "")
        assert ran.stderr.startswith(f"no answer from {url.partition('/?')[0].rstrip('/')}: ")


# listen


def test_listen_prints_a_line_for_each_delivery_with_its_verdict(listen: Listen, prospec: Run) -> None:
    listener = listen()
    assert re.fullmatch(r"http://127\.0\.0\.1:\d+/", listener.url)
    assert prospec("webhook", "trigger", "--url", listener.url, "--event", "failed", env=ENV).returncode == 0
    assert listener.send(BODY, sign(BODY, SECRET)) == 200
    assert listener.send(b"[]", sign(b"[]", SECRET)) == 200
    assert listener.send(BODY, sign(BODY, OLD_SECRET)) == 401
    assert listener.send(BODY, None) == 401
    assert listener.stop() == 1
    told = [line.split("  ", 1)[1] for line in listener.lines()[1:]]
    assert told[0].startswith("genuine  200  ")
    assert told[0].endswith("  generation.failed gen_sample")
    assert told[1] == f"genuine  200  {len(BODY)} bytes  generation.completed gen_1"
    assert told[2].startswith("genuine  200  2 bytes  the signature is genuine, the body is no event")
    assert told[3].startswith(f"refused  401  {len(BODY)} bytes  the signature is not that of this body")
    assert told[4].startswith(f"refused  401  {len(BODY)} bytes  there is no signature")
    assert len(told) == 5


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_listen_ends_in_peace_when_it_is_told_to(listen: Listen, number: signal.Signals) -> None:
    for sent, code in ((0, 3), (1, 0)):
        listener = listen()
        for _ in range(sent):
            assert listener.send(BODY, sign(BODY, SECRET)) == 200
        assert listener.stop(number) == code
        assert len(listener.lines()) == 1 + sent
        assert "Traceback" not in listener.err.read_text("utf-8")
        with pytest.raises(httpx2.ConnectError):
            listener.send(BODY, sign(BODY, SECRET))


def test_listen_takes_the_old_secret_as_well(listen: Listen) -> None:
    listener = listen("--count", "2", env={**ENV, "PROSPOLABS_WEBHOOK_OLD_SECRET": OLD_SECRET})
    assert listener.send(BODY, sign(BODY, OLD_SECRET)) == 200
    assert listener.send(BODY, sign(BODY, SECRET)) == 200
    assert listener.ended() == 0


def test_listen_in_json_prints_nothing_but_json_and_ends_after_its_count(listen: Listen) -> None:
    listener = listen("--format", "json", "--count", "2", "--verbose")
    body = b'{"event":"generation.completed","generation_id":"gen_1","data":{"output_url":"https://x/y?token=canary"}}'
    assert listener.send(body, sign(body, SECRET), **{"X-More": "1"}) == 200
    assert listener.send(BODY, "0" * 64) == 401
    assert listener.ended() == 1
    url, first, second = map(json.loads, listener.lines())
    assert url == {"url": listener.url}
    assert first.pop("at")
    assert ["X-More", "1"] in first.pop("headers")
    assert first == {
        "genuine": True,
        "reason": None,
        "event": "generation.completed",
        "generation_id": "gen_1",
        "bytes": len(body),
        "status": 200,
        "forwarded": None,
        "body": body.decode().replace("token=canary", "..."),
    }
    assert (second["genuine"], second["reason"], second["event"], second["status"]) == (False, "mismatch", None, 401)


def test_listen_forwards_the_same_bytes_and_headers_and_answers_what_the_receiver_answers(listen: Listen) -> None:
    with receiver(418) as (url, came):
        listener = listen("--forward", f"{url}?a=1", "--format", "json")
        for signature in (sign(BODY, SECRET), "0" * 64):
            assert listener.send(BODY, signature, **{"X-More": "\xe9t\xe9", "Content-Type": "text/plain"}) == 418
            delivery = came.get_nowait()
            headers = {name.lower(): value for name, value in delivery.headers}
            assert (delivery.path, delivery.body) == ("/hook-of-mine?a=1", BODY)
            assert headers[SIGNATURE_HEADER.lower()] == signature
            assert (headers["x-more"], headers["content-type"]) == ("\xe9t\xe9", "text/plain")
            assert f"http://{headers['host']}/" in url.replace("hook-of-mine", "")
            assert len(headers) == len(delivery.headers), "no header twice"
        assert listener.stop() == 1
    shown = [json.loads(line) for line in listener.lines()[1:]]
    assert [(each["genuine"], each["status"], each["forwarded"]) for each in shown] == [
        (True, 418, True),
        (False, 418, True),
    ]


def test_a_receiver_that_is_gone_makes_the_sender_try_again(listen: Listen) -> None:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        port = listening.getsockname()[1]
    listener = listen("--forward", f"http://127.0.0.1:{port}/?t=canary", "--count", "1")
    assert listener.send(BODY, sign(BODY, SECRET)) == 502
    assert listener.ended() == 1
    assert "genuine  502" in listener.lines()[1]
    assert f"not forwarded to http://127.0.0.1:{port}: Connection refused" in listener.err.read_text("utf-8")


def raw(listener: Listener, request: bytes) -> bytes:
    port = int(listener.url.rstrip("/").rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port), timeout=PATIENCE_S) as connection:
        connection.sendall(request)
        connection.shutdown(socket.SHUT_WR)
        answer = b""
        while chunk := connection.recv(65536):
            answer += chunk
        return answer


def test_listen_outlives_what_is_no_delivery(listen: Listen) -> None:
    listener = listen()
    for request, status in (
        (b"POST / HTTP/1.1\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"411"),
        (b"POST / HTTP/1.1\r\nContent-Length: 9\r\n\r\nabc", b"400"),
        (f"POST / HTTP/1.1\r\nContent-Length: {MAX_BYTES + 1}\r\n\r\n".encode(), b"413"),
        (b"POST / HTTP/1.1\r\nContent-Length: " + b"9" * 5000 + b"\r\n\r\n", b"413"),
        (b"GET / HTTP/1.1\r\n\r\n", b"501"),
        (b"\x00\xff\r\n\r\n", b"400"),
        (b"", b""),
    ):
        answer = raw(listener, request)
        assert status in answer.partition(b"\r\n")[0], request
    assert listener.lines() == [listener.url]
    assert listener.stop() == 3
    err = listener.err.read_text("utf-8")
    assert "Traceback" not in err
    assert err.count("not read: ") == 5
    assert err.endswith("nothing came\n")


def test_what_a_terminal_would_act_on_is_escaped(listen: Listen) -> None:
    listener = listen("--verbose", "--count", "2")
    body = json.dumps({"event": "\x1b[2J::error::", "generation_id": "\u202egen"}, ensure_ascii=False).encode()
    headers = f"{SIGNATURE_HEADER}: {sign(body, SECRET)}\r\nX-More: a\x1b[2J\r\n  folded\r\nContent-Length: {len(body)}"
    for sent in (body, body[:-1] + b"\x9b"):
        assert raw(listener, f"POST / HTTP/1.1\r\n{headers}\r\n\r\n".encode("latin-1") + sent)
    assert listener.ended() == 1
    shown = listener.out.read_text("utf-8")
    assert not re.search(r"[\x00-\x09\x0b-\x1f\x7f-\x9f\u202e]", shown)
    assert "  X-More: a\\x1b[2J  folded\n" in shown


def test_a_reader_that_goes_away_ends_the_listening(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "prospec", "webhook", "listen"]
    with subprocess.Popen(command, env={**QUIET, **ENV}, stdout=subprocess.PIPE, stderr=subprocess.PIPE) as process:
        try:
            assert process.stdout is not None
            assert process.stderr is not None
            url = process.stdout.readline().decode().strip()
            process.stdout.close()
            Listener(url, process, tmp_path, tmp_path).send(BODY, sign(BODY, SECRET))
            assert process.wait(PATIENCE_S) == 0
            assert b"Traceback" not in process.stderr.read()
        finally:
            process.kill()


# Wrong use


@pytest.mark.parametrize(
    "command", [["sign"], ["verify", "--signature", "x"], ["listen"], ["trigger", "--url", "http://h/"]]
)
def test_without_a_secret_nothing_runs(prospec: Run, command: list[str]) -> None:
    for env in ({}, {"PROSPOLABS_WEBHOOK_SECRET": ""}, {"PROSPOLABS_WEBHOOK_OLD_SECRET": "x"}):
        ran = prospec("webhook", *command, env=env)
        assert (ran.returncode, ran.stdout) == (2, "")
        assert ran.stderr.startswith("PROSPOLABS_WEBHOOK_SECRET is not set")


@pytest.mark.parametrize(
    ("command", "said"),
    [
        (["sign", "/nowhere"], "/nowhere: No such file or directory"),
        (["sign", "/"], "/: Is a directory"),
        (["sign", "a\0b"], r"a\x00b: no name of a file"),
        (["sign", "--raw"], "Unknown option: --raw"),
        (["verify"], "--signature"),
        (["listen", "--port", "70000"], "--port 70000: "),
        (["listen", "--port", "9" * 30], "--port 9"),
        (["listen", "--count", "0"], "--count takes"),
        (["listen", "--forward", "http://hooks.example/"], "--forward takes an http URL of this machine"),
        (["listen", "--forward", "http://127.0.0.1.hooks.example/"], "--forward takes an http URL of this machine"),
        (["listen", "--forward", "https://127.0.0.1/"], "--forward takes an http URL of this machine"),
        (["listen", "--forward", "http://127.0.0.1@hooks.example/"], "--forward takes http(s)://"),
        (["trigger"], "--url"),
        (["trigger", "--url", "http://user:canary@h/"], "--url takes http(s)://"),
        (["trigger", "--url", "ftp://h/canary"], "--url takes http(s)://"),
        (["trigger", "--url", "http://h:99999/canary"], "--url takes http(s)://"),
        (["trigger", "--url", "http://[canary/"], "--url takes http(s)://"),
        (["trigger", "--url", "http://h/canary\r\nX: y"], "--url takes http(s)://"),
        (["trigger", "--url", "http://h/#canary"], "--url takes http(s)://"),
        (["trigger", "--url", "http://h/", "--timeout-s", "nan"], "--timeout-s takes"),
        (["trigger", "--url", "http://h/", "--event", "paused"], "--event"),
        (["nope"], "nope"),
    ],
)
def test_wrong_use_is_told_in_one_line(prospec: Run, command: list[str], said: str) -> None:
    ran = prospec("webhook", *command, env=ENV)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert said in ran.stderr
    assert "canary" not in ran.stderr


def test_the_base_install_is_enough(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PROSPOLABS_WEBHOOK_SECRET", SECRET)
    ran = base_install("webhook", "sign")
    assert (ran.returncode, ran.stdout, ran.stderr) == (0, sign(b"", SECRET) + "\n", "")
    assert base_install("webhook", "trigger", "--url", "http://127.0.0.1:1/").returncode == 3


def test_a_port_that_is_taken_is_told(prospec: Run) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        ran = prospec("webhook", "listen", "--port", port, env=ENV)
    assert (ran.returncode, ran.stdout, ran.stderr) == (2, "", f"--port {port}: Address already in use\n")


# The examples of the help


def examples(command: Callable[..., int]) -> list[str]:
    """The lines that the help leads with."""
    assert command.__doc__ is not None
    _, block, _ = command.__doc__.split("```")
    return [line.strip() for line in block.splitlines() if line.strip()]


def shell(line: str, folder: Path) -> subprocess.CompletedProcess[str]:
    env = {**QUIET, **ENV, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    return subprocess.run(
        ["sh", "-c", line], cwd=folder, env=env, capture_output=True, text=True, timeout=PATIENCE_S, check=False
    )


@pytest.mark.parametrize("line", examples(webhook_command.sign_) + examples(webhook_command.verify_))
def test_the_examples_of_sign_and_verify_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "event.json").write_bytes(BODY)
    ran = shell(line, tmp_path)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert re.fullmatch(r'[0-9a-f]{64}\n|genuine\n|\{"genuine": true, "reason": null\}\n', ran.stdout)


@pytest.mark.parametrize("line", examples(webhook_command.trigger))
def test_the_examples_of_trigger_run(line: str, tmp_path: Path) -> None:
    assert "http://127.0.0.1:3000/webhook" in line
    with receiver() as (url, came):
        ran = shell(line.replace("http://127.0.0.1:3000/webhook", url), tmp_path)
        assert (ran.returncode, ran.stderr, came.qsize()) == (0, "", 1)


@pytest.mark.parametrize("line", examples(webhook_command.listen))
def test_the_examples_of_listen_run(line: str, listen: Listen) -> None:
    arguments = line.removeprefix("prospec webhook listen").replace("--port 8000", "--port 0").split()
    with receiver() as (url, came):
        listener = listen(*(url if word == "http://127.0.0.1:3000/webhook" else word for word in arguments))
        assert listener.send(BODY, sign(BODY, SECRET)) == 200
        assert (listener.ended() if "--count" in arguments else listener.stop()) == 0
        assert came.qsize() == ("--forward" in arguments)


def test_no_output_holds_a_secret(prospec: Run, listen: Listen) -> None:
    listener = listen("--verbose", env={**ENV, "PROSPOLABS_WEBHOOK_OLD_SECRET": OLD_SECRET})
    ran = [
        prospec("webhook", "sign", stdin=BODY, env=ENV),
        prospec("webhook", "verify", "--signature", "x", stdin=BODY, env=ENV),
        prospec("webhook", "trigger", "--url", listener.url, env=ENV),
    ]
    assert listener.stop() == 0
    shown = "".join(each.stdout + each.stderr for each in ran) + listener.out.read_text() + listener.err.read_text()
    assert "canary" not in shown
    assert "token=" not in shown
