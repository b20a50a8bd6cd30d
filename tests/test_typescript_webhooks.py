"""Webhooks in TypeScript: the vectors, the same verdict and the same event as Python, and that no input gets anything
else out of it than BadSignature. The examples of docs/examples/typescript are run as their users run them.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import subprocess
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import httpx2
import pytest
from conftest import Run
from node import TOOLS, built, installed, node
from prospec.ir import Spec
from prospec_conformance.deliveries import deliveries
from prospec_conformance.mock import MockConfig, serve
from prospo import webhooks
from test_receiver_examples import (
    LONGEST_LINES,
    OLD_SECRET,
    RIGHTS,
    ROOT,
    SECRET,
    Example,
    _free_port,
    _listens,
    _status,
    send,
    until,
)
from test_webhooks import DOCUMENTED, WHEN, completed, outcome, verdict

EXAMPLES = ROOT / "docs" / "examples" / "typescript"
DRAWN = 20_000


def run(asked: object) -> Any:
    """What tests/typescript/webhooks.mjs answers."""
    command = [node(), str(TOOLS / "webhooks.mjs"), str(built() / "dist" / "index.js")]
    ran = subprocess.run(command, input=json.dumps(asked), capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    return json.loads(ran.stdout)


def judged(asked: list[tuple[bytes, Any, Any]]) -> list[Any]:
    """The verdict of each (body, signature, secret), that of `unwrap`, and the event."""
    rows = [{"body": base64.b64encode(body).decode(), "signature": sig, "secret": of} for body, sig, of in asked]
    told: list[Any] = run({"deliveries": rows})
    assert len(told) == len(rows)
    return told


def as_python_tells(event: webhooks.Event) -> dict[str, Any]:
    """An event as the other language has it: what is None is missing, and each number is a double."""
    kinds = {webhooks.CompletedEvent: "completed", webhooks.FailedEvent: "failed"}
    time = event.timestamp and event.timestamp.astimezone(UTC).isoformat(timespec="milliseconds")
    told = {
        "kind": kinds.get(type(event), "other"),
        "event": event.event,
        "generationId": event.generation_id or None,
        "model": event.model,
        "mode": event.mode,
        "timestamp": time and time.replace("+00:00", "Z"),
        "key": event.key,
        "raw": json.loads(json.dumps(event.raw), parse_int=float),
    }
    if isinstance(event, webhooks.CompletedEvent):
        cost_usd = None if event.cost_usd is None else float(event.cost_usd)
        told |= {"outputUrl": event.output_url, "costUsd": cost_usd, "durationMs": event.duration_ms}
    return {name: value for name, value in told.items() if value is not None}


# What is genuine, and what it tells


def test_every_vector_gets_the_verdict_that_was_written_down(spec: Spec) -> None:
    asked, expected = [], []
    for vector in spec.vectors.webhooks:
        body = vector["body"].encode() if "body" in vector else base64.b64decode(vector["base64"], validate=True)
        for secrets in (vector["secrets"], *(vector["secrets"] if len(vector["secrets"]) == 1 else ())):
            asked.append((body, vector["signature"], secrets))
            expected.append((vector["id"], vector["valid"]))
    told = judged(asked)
    assert len(told) > 190
    assert [(id, each["verdict"] is None) for (id, _), each in zip(expected, told, strict=True)] == expected
    for (body, signature, secrets), each in zip(asked, told, strict=True):
        assert each["verdict"] == verdict(body, signature, secrets)
        python = outcome(body, signature, secrets, max_age_s=None)
        assert each["unwrapped"] == (python if isinstance(python, str) else None)
        if isinstance(python, webhooks.Event):
            assert each["event"] == as_python_tells(python)


BODIES: list[Any] = [
    DOCUMENTED,
    *(
        {"event": "generation.failed", "generation_id": "gen_1", "data": data}
        for data in ({}, None, [], {"cost_usd": 0})
    ),
    *(
        completed(data=data, added="later")
        for data in (
            {"output_url": 7, "cost_usd": "0.40", "duration_ms": True},
            {"output_url": "https://x/y", "cost_usd": 3, "duration_ms": 1.5, "mode": "text"},
            {"cost_usd": 0.1, "duration_ms": None, "later": 1, "model": 5},
            {"cost_usd": 1e300},
        )
    ),
    *(
        completed(timestamp=text)
        for text in (
            "2026-05-02T14:33:27Z",
            "2026-05-02T16:33:27.250+02:00",
            "2026-05-02T14:33:27",
            "2026-05-02",
            "soon",
            1777732407,
            None,
            "2026-13-02T14:33:27Z",
        )
    ),
    {"event": "balance.low", "left": 1},
    {"event": "balance.low", "generation_id": "", "left": 1},
    {"event": "generation.completed"},
    {"event": "generation.paused", "generation_id": "gen_1"},
    {"event": "", "generation_id": "gen_1"},
    {"event": "generation.completed", "generation_id": 5, "data": {"output_url": "https://x/y"}},
    *(b"", b"{}", b"[]", b"null", b"7", b'{"event": 7}', b'{"event":', b"\xff", b'"x"', b"[" * 100_000),
    b'{"event": "generation.completed", "generation_id": "gen_1", "x": ' + b"[" * 200 + b"]" * 200 + b"}",
    b'{"event": "generation.completed", "generation_id": "gen_1", "x": "\\ud83d\\ude00"}',
    b'\xef\xbb\xbf{"event": "generation.completed", "generation_id": "gen_1"}',
    b'{"event": "generation.failed", "event": "generation.completed", "generation_id": "gen_1"}',
    b'{"event": "generation.completed", "generation_id": "gen_1", "x": "' + b"x" * 2_000_000 + b'"}',
]


def test_both_languages_make_the_same_of_a_genuine_body() -> None:
    bodies = [each if isinstance(each, bytes) else json.dumps(each).encode() for each in BODIES]
    signed = [(body, webhooks.sign(body, SECRET), SECRET) for body in bodies]
    kinds = set()
    for body, told in zip(bodies, judged(signed), strict=True):
        python = outcome(body, webhooks.sign(body, SECRET), SECRET, max_age_s=None)
        assert told["verdict"] is None
        if isinstance(python, webhooks.Event):
            assert told["event"] == as_python_tells(python), body[:100]
            kinds.add(told["event"]["kind"])
        else:
            assert told["unwrapped"] == python, body[:100]
    assert kinds == {"completed", "failed", "other"}


def test_every_flip_of_a_bit_is_refused() -> None:
    signature = webhooks.sign(DOCUMENTED, SECRET)
    asked: list[tuple[bytes, Any, Any]] = []
    for place in range(8 * len(DOCUMENTED)):
        changed = bytearray(DOCUMENTED)
        changed[place // 8] ^= 1 << place % 8
        asked.append((bytes(changed), signature, SECRET))
    asked += [(DOCUMENTED, f"{int(signature, 16) ^ 1 << place:064x}", SECRET) for place in range(256)]
    assert {each["verdict"] for each in judged(asked)} == {"mismatch"}


def test_drawn_deliveries_get_the_right_verdict_and_no_other_error() -> None:
    """Headers, bodies and secrets of every kind, those that throw when they are read included."""
    seen = run({"draw": DRAWN, "seed": 20260502})
    assert sum(seen.values()) == DRAWN
    assert min(seen[reason] for reason in ("taken", "body", "secret", "missing", "malformed", "mismatch")) > 100, seen


def module(program: str, *arguments: str) -> str:
    """What a program prints that imports the package as `prospo`."""
    program = f"const prospo = await import(process.argv[1]);\n{program}"
    command = [node(), "--input-type=module", "-e", program, str(built() / "dist" / "index.js"), *arguments]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 0, ran.stderr
    return ran.stdout


def test_the_default_limit_lets_the_last_retry_of_an_event_through() -> None:
    ages_s = [-3600, sum(webhooks.RETRY_AFTER_S), webhooks.MAX_AGE_S - 600, webhooks.MAX_AGE_S + 600]
    times = [(datetime.now(UTC) - timedelta(seconds=age_s)).isoformat() for age_s in ages_s]
    program = """
        const told = [];
        for (const [timestamp, options] of [
          ...process.argv.slice(2).map((time) => [time]),
          [process.argv[3], { maxAgeMs: 1000 }], [process.argv[5], { maxAgeMs: Infinity }], [null, { maxAgeMs: 0 }],
        ]) {
          const body = new TextEncoder().encode(JSON.stringify({ event: "generation.paused", timestamp }));
          const signature = await prospo.signWebhook(body, "k");
          const unwrapped = prospo.unwrapWebhook(body, signature, ["k"], options);
          told.push(await unwrapped.then(() => "taken", (error) => error.reason));
        }
        console.log(JSON.stringify(told));
    """
    told = json.loads(module(program, *times))
    assert told == ["taken", "taken", "taken", "age", "age", "taken", "taken"]


def test_a_refusal_and_an_event_show_nothing_secret() -> None:
    """An event has the URL of its output for who asks by name."""
    program = """
        const { inspect } = await import("node:util");
        const body = Buffer.from(process.argv[2]);
        const genuine = await prospo.signWebhook(body, "whsec-canary");
        const event = await prospo.unwrapWebhook(body, genuine, "whsec-canary", { maxAgeMs: Infinity });
        const shown = [event];
        for (const signature of [genuine, genuine.toUpperCase(), "a1".repeat(32), null]) {
          try { await prospo.unwrapWebhook(body, signature, "whsec-canary"); } catch (error) { shown.push(error); }
        }
        console.log(JSON.stringify({
          url: event.outputUrl, raw: event.raw, genuine, reasons: shown.slice(1).map((error) => error.reason),
          texts: shown.flatMap((each) => [inspect(each, { depth: 9 }), JSON.stringify(each), String(each), each.stack]),
        }));
    """
    told = json.loads(module(program, DOCUMENTED.decode()))
    assert told["reasons"] == ["age", "malformed", "mismatch", "missing"]
    assert "canary" in told["url"]
    assert told["raw"] == json.loads(DOCUMENTED)
    for text in filter(None, told["texts"]):
        assert not [each for each in ("canary", told["genuine"], told["genuine"].upper(), "a1a1") if each in text], text


# The examples


def placed(name: str, folder: Path) -> Path:
    """An example with what it imports, as `npm install` would lay it."""
    shutil.copytree(EXAMPLES / name, folder, dirs_exist_ok=True)
    modules = folder / "node_modules"
    (modules / "@hono").mkdir(parents=True)
    (modules / "prospo").symlink_to(built())
    for each in ("express", "hono", "@hono/node-server"):
        (modules / each).symlink_to(installed(TOOLS) / each)
    return folder


def _next(folder: Path, port: str) -> list[str]:
    """Next.js calls the handler with a Request of the web and sends what it answers; so does this, without Next.js."""
    (folder / "node.d.ts").write_text("declare const process: { env: Record<string, string | undefined> };")
    # As `create-next-app` has them, but that there is something to run afterwards.
    options = {"target": "ES2022", "module": "ESNext", "moduleResolution": "Bundler", "strict": True, "types": []}
    options["lib"] = ["DOM", "DOM.Iterable", "ESNext"]
    (folder / "package.json").write_text('{"type": "module"}')
    (folder / "tsconfig.json").write_text(json.dumps({"compilerOptions": options}))
    command = [node(), str(installed(TOOLS) / "typescript" / "bin" / "tsc")]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, check=False)
    assert ran.returncode == 0, ran.stdout
    (folder / "server.mjs").write_text(
        'import { serve } from "@hono/node-server";\n'
        'import * as route from "./app/webhook/route.js";\n'
        "const fetch = (request) => route[request.method]?.(request) ?? new Response(null, { status: 405 });\n"
        f'serve({{ fetch, port: {port}, hostname: "127.0.0.1" }});\n'
    )
    return [node(), "server.mjs"]


COMMANDS: dict[str, Callable[[Path, str], list[str]]] = {
    "express": lambda folder, port: [node(), "receiver.mjs", port],
    "hono": lambda folder, port: [node(), "receiver.mjs", port],
    "next": _next,
}


@contextmanager
def running(name: str, folder: Path) -> Iterator[Example]:
    port, printed = _free_port(), folder / "printed.txt"
    command = COMMANDS[name](placed(name, folder), str(port))
    secrets = {"PROSPOLABS_WEBHOOK_SECRET": SECRET, "PROSPOLABS_WEBHOOK_OLD_SECRET": OLD_SECRET}
    environment = {each: os.environ[each] for each in RIGHTS if each in os.environ} | secrets
    with (
        printed.open("wb") as out,
        subprocess.Popen(command, cwd=folder, env=environment, stdout=out, stderr=out) as ran,
    ):
        try:
            until(lambda: _listens(port) or ran.poll() is not None, printed)
            assert ran.poll() is None, printed.read_text("utf-8")
            yield Example(f"http://127.0.0.1:{port}/webhook", printed)
        finally:
            ran.kill()


@pytest.fixture(scope="module", params=COMMANDS)
def example(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Example]:
    with running(request.param, tmp_path_factory.mktemp(request.param)) as listening:
        yield listening


@pytest.mark.parametrize("secret", [SECRET, OLD_SECRET])
def test_the_command_finds_no_flaw_by_the_new_secret_or_the_old(example: Example, prospec: Run, secret: str) -> None:
    env = {"PROSPOLABS_WEBHOOK_SECRET": secret}
    ran = prospec("conformance", "receiver", "--url", example.url, "--format", "json", env=env)
    report = json.loads(ran.stdout)
    wrong = [each for each in report["deliveries"] if each["outcome"] in ("failed", "skipped")]
    assert (ran.returncode, wrong, report["flaws"]) == (0, [], []), ran.stderr
    assert report["summary"]["passed"] > 80


def test_a_repeat_is_handled_once_and_the_other_event_of_a_generation_as_well(example: Example) -> None:
    before = len(example.handled())
    for event in ("generation.completed", "generation.failed", "generation.paused"):
        for spaces in ("", " "):
            body = f'{{"event":{spaces}"{event}","generation_id":"gen_once","data":{{"cost_usd":0.40}}}}'.encode()
            assert send(example, body, webhooks.sign(body, SECRET)) == 200
    until(lambda: len(example.handled()) >= before + 2, example._printed)
    assert sorted(example.handled()[before:]) == [
        "generation.completed gen_once 0.4 USD",
        "generation.failed gen_once refunded",
    ]


def test_a_body_beyond_the_limit_is_not_handled(example: Example) -> None:
    body = b'{"event":"generation.completed","generation_id":"gen_huge","x":"' + b"x" * 2_000_000 + b'"}'
    # The end of the connection, with bytes unread, may cost the sender the answer.
    with suppress(httpx2.NetworkError):
        assert send(example, body, webhooks.sign(body, SECRET)) == 413
    assert "gen_huge" not in "".join(example.handled())


def test_nothing_forged_is_handled(example: Example) -> None:
    before = len(example.handled())
    forged = [each for each in deliveries("forged", WHEN) if each.expected == "refused"]
    assert len(forged) > 40
    for each in forged:
        assert 400 <= _status(example, each) < 500 or each.method != "POST", each.name
    assert len(example.handled()) == before


@pytest.mark.parametrize("name", COMMANDS)
def test_it_does_not_start_without_a_secret(name: str, tmp_path: Path) -> None:
    command = COMMANDS[name](placed(name, tmp_path), str(_free_port()))
    environment = {each: os.environ[each] for each in RIGHTS if each in os.environ}
    ran = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=60, check=False
    )
    assert ran.returncode != 0
    assert "PROSPOLABS_WEBHOOK_SECRET is not set" in ran.stderr


def test_the_quickstart_makes_a_file_on_the_mock(tmp_path: Path) -> None:
    folder = placed("express", tmp_path)
    shutil.copy(EXAMPLES / "generate.mjs", folder)
    with serve(MockConfig(api_key="prsp-local")) as mock:
        environment = {**os.environ, "PROSPOLABS_API_KEY": "prsp-local", "PROSPOLABS_BASE_URL": mock.base_url}
        command = [node(), "generate.mjs", "a quiet harbour"]
        ran = subprocess.run(
            command, cwd=folder, env=environment, capture_output=True, text=True, timeout=120, check=False
        )
    assert (ran.returncode, ran.stderr) == (0, ""), ran.stderr
    assert ran.stdout.startswith("out.mp4 for ")
    assert (folder / "out.mp4").read_bytes()[4:8] == b"ftyp"


def test_each_is_short_and_says_how_it_is_run() -> None:
    found = sorted(path for path in EXAMPLES.rglob("*") if path.is_file())
    assert [path.name for path in found] == ["receiver.mjs", "generate.mjs", "receiver.mjs", "route.ts"]
    for path in found:
        lines = path.read_text("utf-8").splitlines()
        assert len(lines) < LONGEST_LINES, path
        assert "npm install" in lines[0]
        assert max(map(len, lines)) <= 120
