"""How many validated generate requests a second the mock answers, beside Prism and beside a server that judges nothing.

`make bench` runs it. The same generator sends the same bodies to each, in rounds that take turns, so that a busy moment
of the machine hits all alike. Then the mock against itself, with ever more generations open: its speed must not hang on
them. Here live no assertions on speed; tests/test_bench.py sees that this runs.
"""

from __future__ import annotations

import argparse
import http.client
import json
import os
import secrets
import shutil
import socket
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prospec.example import plain_value, request, smallest_params
from prospec.ir import Evidence, Spec
from prospec.loader import load
from prospec.schema import pairs
from prospec_conformance.plants import plants
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rounds import ROOT, WIDTH, BenchError, children_cpu_s, installed_by_npm, keep, machine
from rounds import main as run_main

HERE = Path(__file__).parent
DOCUMENT = ROOT / "generated/json/openapi.json"
PRISM = "5.16.0"
BODIES = 20
INVALID = 2
"""Of the bodies."""
CONNECTIONS = 16
PATH = "/v1/generate?async=true"
KEY = f"prsp-{secrets.token_hex(16)}"
ENVIRONMENT = {**os.environ, "PROSPOLABS_API_KEY": KEY}
HEADERS = {"Authorization": f"Bearer {KEY}", "Content-Type": "application/json"}
STARTS_WITHIN_S = 60


@dataclass(frozen=True, slots=True)
class Body:
    """One line of the rotation."""

    text: str
    is_valid: bool


@dataclass(frozen=True, slots=True)
class Peer:
    """A server that answers."""

    name: str
    address: tuple[str, int]
    pid: int


@dataclass(frozen=True, slots=True)
class Round:
    """What came of one run of the generator."""

    per_s: float
    per_cpu_s: float | None
    """By the CPU time of the server, which a busy machine changes little; None where the system does not tell it."""
    p50_ms: float
    p99_ms: float
    generator_cpu: float
    """The share of one core that the generator took. Near 1 it measures itself."""


# What is sent


def bodies(spec: Spec) -> list[Body]:
    """Valid requests over the models, every second with all of its mode's params, and documented faults among them."""
    catalog = list(pairs(spec))
    made = []
    for index in range(BODIES - INVALID):
        model, mode = catalog[index % len(catalog)]
        every = {param.name: plain_value(param) for param in mode.params}
        made.append(Body(json.dumps(request(model, mode, smallest_params(mode) if index % 2 else every)), True))
    wrong = list(_wrong(spec))
    for index in range(INVALID):
        fault = wrong[index * len(wrong) // INVALID]
        made.insert(index * BODIES // INVALID, Body(json.dumps(fault), False))
    return made


def _wrong(spec: Spec) -> Iterator[dict[str, Any]]:
    """Requests with one fault, such that every validator must find it."""
    for model, mode in pairs(spec):
        for param in mode.params:
            for plant in plants(spec, param):
                if param.evidence_of(plant.code) is Evidence.DOCUMENTED:
                    yield request(model, mode, plant.into(smallest_params(mode)))


# Who answers


@contextmanager
def _process(command: Sequence[str | Path], **options: Any) -> Iterator[subprocess.Popen[str]]:
    with subprocess.Popen(command, env=ENVIRONMENT, stderr=subprocess.DEVNULL, text=True, **options) as process:
        try:
            yield process
        finally:
            process.terminate()


@contextmanager
def _python(name: str, *arguments: str) -> Iterator[Peer]:
    """A server of ours: the first line that it prints is its base URL."""
    with _process([sys.executable, *arguments], stdout=subprocess.PIPE) as process:
        assert process.stdout
        host, _, port = process.stdout.readline().strip().removeprefix("http://").partition(":")
        if not port:
            raise BenchError(f"{name} did not start: run {' '.join(arguments)} to see why")
        peer = Peer(name, (host, int(port)), process.pid)
        _wait_for(peer, process)
        yield peer


def mock(name: str = "prospec mock") -> Any:
    """The mock as a user starts it, but for the limits on how much one may ask of it."""
    limits = ("--rate-limit", "0", "--processing-s", "0", "--balance", "1000000000000")
    return _python(name, "-m", "prospec", "mock", *limits)


def ceiling() -> Any:
    return _python("no judge at all", str(HERE / "ceiling.py"))


@contextmanager
def prism() -> Iterator[Peer]:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    quiet = ["--errors", "--verboseLevel", "silent"]
    bin_ = installed_by_npm({"@stoplight/prism-cli": PRISM}, without="--without-prism")
    command = [bin_ / "prism", "mock", *quiet, "--port", str(port), DOCUMENT]
    with _process(command, stdout=subprocess.DEVNULL) as process:
        peer = Peer(f"Prism {PRISM}", ("127.0.0.1", port), process.pid)
        _wait_for(peer, process)
        yield peer


def _wait_for(peer: Peer, process: subprocess.Popen[str]) -> None:
    until = time.monotonic() + STARTS_WITHIN_S
    while process.poll() is None and time.monotonic() < until:
        try:
            socket.create_connection(peer.address, timeout=1).close()
            return
        except OSError:
            time.sleep(0.05)
    raise BenchError(f"{peer.name} did not answer within {STARTS_WITHIN_S} s")


def post(peer: Peer, texts: Sequence[str], **headers: str) -> list[tuple[int, bytes]]:
    """Status and body of the answer to each, over one connection."""
    connection = http.client.HTTPConnection(*peer.address, timeout=30)
    answers = []
    try:
        for text in texts:
            connection.request("POST", PATH, text.encode(), {**HEADERS, **headers})
            answer = connection.getresponse()
            answers.append((answer.status, answer.read()))
    finally:
        connection.close()
    return answers


def verify(peer: Peer, sent: Sequence[Body]) -> None:
    """Raises BenchError unless the peer lets pass what is valid and refuses what is not."""
    for body, (status, said) in zip(sent, post(peer, [body.text for body in sent]), strict=True):
        if not (200 <= status < 300 if body.is_valid else status in (400, 422)):
            raise BenchError(f"{peer.name} answers {status} to {body.text}: {said.decode(errors='replace')[:300]}")


# The generator


def measure(peer: Peer, requests: Path, seconds: int) -> tuple[Round, int]:
    """One run of wrk, and how many answers were refusals. Raises BenchError where a connection broke."""
    url = "http://{}:{}".format(*peer.address)
    load = ["-t1", f"-c{CONNECTIONS}", f"-d{seconds}s", "-s", str(HERE / "rotate.lua")]
    generator_s, server_s = children_cpu_s(), _cpu_s(peer.pid)
    ran = subprocess.run(
        ["wrk", *load, url, "--", str(requests)], env=ENVIRONMENT, capture_output=True, text=True, check=False
    )
    generator_s, server_s = children_cpu_s() - generator_s, _cpu_s(peer.pid) - server_s
    said = [line for line in ran.stdout.splitlines() if line.startswith("JSON ")]
    if not said:
        raise BenchError(f"wrk said: {ran.stdout or ran.stderr}")
    told = json.loads(said[0].removeprefix("JSON "))
    if told["broken"] or not told["answers"]:
        raise BenchError(f"{peer.name}: of {told['answers']} answers {told['broken']} were none")
    each = Round(
        told["answers"] / told["seconds"],
        told["answers"] / server_s if server_s else None,
        told["p50_ms"],
        told["p99_ms"],
        generator_s / told["seconds"],
    )
    return each, told["refused"]


def _cpu_s(pid: int) -> float:
    """What a process has taken, all its threads together; 0 where the system does not tell it so."""
    try:
        told = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(told[11]) + int(told[12])) / os.sysconf("SC_CLK_TCK")


def _lines(folder: Path, name: str, lines: Sequence[str]) -> Path:
    path = folder / f"{name}.txt"
    path.write_text("".join(f"{line}\n" for line in lines), "utf-8")
    return path


def _posts(folder: Path, name: str, sent: Sequence[Body]) -> Path:
    return _lines(folder, name, [f"POST\t{PATH}\t{body.text}" for body in sent])


# What is measured


Progress = Callable[[str], None]


def beside(peers: Sequence[Peer], sent: Sequence[Body], folder: Path, options: Any, say: Progress) -> dict[str, Any]:
    """Each peer's rounds, in turns."""
    requests = _posts(folder, "posts", sent)
    judged = [peer for peer in peers if peer.name != "no judge at all"]
    for peer in judged:
        verify(peer, sent)
    rounds: dict[str, list[Round]] = {peer.name: [] for peer in peers}
    for number in range(-options.warm_up, options.rounds):
        for peer in peers:
            each, refused = measure(peer, requests, options.seconds)
            # The generator stops amid a rotation.
            if (
                peer in judged
                and abs(refused - each.per_s * options.seconds * INVALID / len(sent)) > BODIES * CONNECTIONS
            ):
                raise BenchError(f"{peer.name} refused {refused} of {each.per_s * options.seconds:.0f}")
            say(f"round {number + 1}: {peer.name}: {each.per_s:,.0f}/s")
            if number >= 0:
                rounds[peer.name].append(each)
    return {name: _summed(each) for name, each in rounds.items()}


def with_open(counts: Sequence[int], sent: Sequence[Body], folder: Path, options: Any, say: Progress) -> dict[str, Any]:
    """The mock's own posts and polls with so many generations open, in turns. Those that are posted end at once."""
    valid = [body for body in sent if body.is_valid]
    rounds: dict[tuple[int, str], list[Round]] = {}
    with ExitStack() as stack:
        works = []
        for count in counts:
            peer = stack.enter_context(mock(f"mock with {count} open"))
            texts = [valid[index % len(valid)].text for index in range(count)]
            opened = post(peer, texts, **{"X-Mock-Outcome": "slow=600000"})
            ended = post(peer, [body.text for body in valid])
            if any(status != 200 for status, _ in [*opened, *ended]):
                raise BenchError(f"{peer.name} refuses what is valid")
            ids = [json.loads(said)["generation_id"] for _, said in ended]
            polls = _lines(folder, f"polls-{count}", [f"GET\t/v1/generations/{id}\t" for id in ids])
            works += [(count, "posts", peer, _posts(folder, "valid", valid)), (count, "polls", peer, polls)]
        for number in range(-options.warm_up, options.rounds):
            for count, kind, peer, requests in works:
                each, refused = measure(peer, requests, options.seconds)
                if refused:
                    raise BenchError(f"{peer.name} refused {refused} {kind}")
                say(f"round {number + 1}: {kind}, {count} open: {each.per_s:,.0f}/s")
                if number >= 0:
                    rounds.setdefault((count, kind), []).append(each)
    return {f"{kind}, {count} open": _summed(each) for (count, kind), each in sorted(rounds.items())}


def _summed(rounds: Sequence[Round]) -> dict[str, Any]:
    told = [asdict(each) for each in rounds]
    known = {name: [each[name] for each in told if each[name] is not None] for name in told[0]}
    medians = {name: statistics.median(values) if values else None for name, values in known.items()}
    return {"median": medians, "rounds": told}


def _ratios(found: dict[str, Any], name: str, figure: str) -> dict[str, float]:
    """How many times as much the named one answers as each, by that figure: medians of the ratios within a round."""
    own = [each[figure] for each in found[name]["rounds"]]
    theirs = {other: [each[figure] for each in told["rounds"]] for other, told in found.items()}
    return {
        other: statistics.median(a / b if a and b else 0.0 for a, b in zip(own, rates, strict=True))
        for other, rates in theirs.items()
    }


FIGURES = ("per_s", "per_cpu_s")


def _table(title: str, found: dict[str, Any], ratios: dict[str, dict[str, float]]) -> Table:
    """Rates by the clock and by the server's CPU, and for each how many times as high the first one's is."""
    table = Table(title=title, title_justify="left", box=SIMPLE)
    table.add_column("", no_wrap=True)
    for column in ("a second", "lowest", "highest", "x", "a CPU second", "x", "p50 ms", "p99 ms", "wrk CPU"):
        table.add_column(column, justify="right", no_wrap=True)
    for name, told in found.items():
        median, rates = told["median"], [each["per_s"] for each in told["rounds"]]
        times = [f"{ratios[figure][name]:.2f}" for figure in FIGURES]
        table.add_row(
            name,
            *(f"{rate:,.0f}" for rate in (median["per_s"], min(rates), max(rates))),
            times[0],
            f"{median['per_cpu_s'] or 0:,.0f}",
            times[1],
            *(f"{median[name]:.2f}" for name in ("p50_ms", "p99_ms")),
            f"{median['generator_cpu']:.0%}",
        )
    return table


def _from(least: int) -> Callable[[str], int]:
    def number(text: str) -> int:
        if not text.isdecimal() or int(text) < least:
            raise argparse.ArgumentTypeError(f"{text!r} is no whole number from {least}")
        return int(text)

    return number


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=_from(1), default=5, help="how often each is measured")
    parser.add_argument("--seconds", type=_from(1), default=3, help="how long each time")
    parser.add_argument("--warm-up", type=_from(0), default=1, help="rounds before those that count")
    parser.add_argument("--open", type=_from(0), nargs="*", default=[0, 1_000, 10_000], help="open generations")
    parser.add_argument("--without-prism", action="store_true")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def main() -> None:
    options = _options()
    if not shutil.which("wrk"):
        raise BenchError("wrk is missing, which sends the requests: apt-get install wrk, or brew install wrk")
    console, say = Console(width=WIDTH), Console(stderr=True, highlight=False).print
    sent = bodies(load(trusted=True))
    with tempfile.TemporaryDirectory() as folder:
        with ExitStack() as stack:
            started = [mock(), *([] if options.without_prism else [prism()]), ceiling()]
            peers = [stack.enter_context(each) for each in started]
            posts = beside(peers, sent, Path(folder), options, say)
        opened = with_open(options.open, sent, Path(folder), options, say) if options.open else {}
    ratios = {figure: _ratios(posts, "prospec mock", figure) for figure in FIGURES}
    console.print(_table(f"POST {PATH}: {BODIES} bodies, {INVALID} of them invalid", posts, ratios))
    flat: dict[str, dict[str, dict[str, float]]] = {}
    for kind in ("posts", "polls") if opened else ():
        some = {name: told for name, told in opened.items() if name.startswith(kind)}
        flat[kind] = {figure: _ratios(some, next(iter(some)), figure) for figure in FIGURES}
        console.print(_table(f"The mock's {kind}, by the number of open generations", some, flat[kind]))
    told = {
        "machine": machine("starlette", "uvicorn", "jsonschema-rs", "jsonschema"),
        "options": {name: value for name, value in vars(options).items() if name != "json"},
        "posts": posts,
        "mock_over": ratios,
        "open": opened,
        "fewest_over": flat,
    }
    keep(options.json, "mock", told)


if __name__ == "__main__":
    run_main(main)
