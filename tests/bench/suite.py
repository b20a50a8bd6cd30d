"""What the suite finds, beside stock schemathesis: the same faults of the mock, each judged by both.

`make bench` runs it. Schemathesis runs as its users run it, with the bundle and the key; it has found a fault where it
reports anything that it does not report of the mock without one. The suite has found it where the requirement that the
fault breaks is told. Both are processes, so that starting counts for both. Here live no assertions.
"""

from __future__ import annotations

import argparse
import json
import logging
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from pathlib import Path

from prospec.ir import Spec
from prospec.loader import load
from prospec_conformance.mock import FAULTS, MockConfig, serve
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rounds import ROOT, WIDTH, BenchError, keep
from rounds import main as run_main

DOCUMENT = ROOT / "generated/json/openapi.json"
SEED = "1"
_HEADING = re.compile(r"^_{3,} (.+?) _{3,}$")
_FINDING = re.compile(r"^- (ST[0-9]+ .+)$")
_GENERATED = re.compile(r"([0-9,]+) generated")


@dataclass(frozen=True, slots=True)
class Judged:
    """What one tool made of one fault."""

    found: bool
    requests: int
    seconds: float


def sample(spec: Spec, count: int) -> list[str]:
    """So many faults, the same number of each area as far as there are so many, evenly spread within it."""
    by_area: dict[str, list[str]] = {}
    for id, fault in FAULTS.items():
        by_area.setdefault(spec.requirement(fault.requirement).area, []).append(id)
    chosen: list[str] = []
    for left, ids in enumerate(sorted(by_area.values(), key=len)):
        share = (count - len(chosen)) // (len(by_area) - left)
        chosen += [ids[index * len(ids) // share] for index in range(min(share, len(ids)))]
    return chosen


def schemathesis(faults: frozenset[str], examples: int | None) -> tuple[set[tuple[str, str]], int, float]:
    """What it reports, how many requests it made up, and how long it took, in seconds."""
    limit = [] if examples is None else ["--max-examples", str(examples)]
    with serve(MockConfig(faults=faults)) as mock, tempfile.TemporaryDirectory() as folder:
        key = f"Authorization: Bearer {mock.config.api_key}"
        command = [sys.executable, "-m", "schemathesis.cli", "run", str(DOCUMENT), "--url", mock.base_url, "-H", key]
        said, seconds = _run([*command, "--seed", SEED, "--no-color", *limit], folder)
    generated = _GENERATED.search(said)
    if generated is None:
        raise BenchError(f"schemathesis said: {said[-2000:]}")
    return _findings(said), int(generated[1].replace(",", "")), seconds


def _findings(said: str) -> set[tuple[str, str]]:
    """(operation, finding) for everything in the text that it prints."""
    found: set[tuple[str, str]] = set()
    where = ""
    for line in said.splitlines():
        if heading := _HEADING.match(line):
            where = heading[1]
        elif finding := _FINDING.match(line):
            found.add((where, finding[1]))
    return found


def suite(id: str) -> Judged:
    """The suite as its users run it on the embedded mock."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "prospec", "conformance", "run", "--seed", SEED, "--format", "json"]
        said, seconds = _run([*command, "--fault", id], folder)
    try:
        report = json.loads(said)
    except ValueError:
        raise BenchError(f"the suite said: {said[-2000:]}") from None
    (meant,) = [each for each in report["requirements"] if each["id"] == FAULTS[id].requirement]
    return Judged(meant["outcome"] in ("failed", "warned"), report["requests"], seconds)


def _run(command: Sequence[str], folder: str) -> tuple[str, float]:
    started = time.monotonic()
    environment = {name: value for name, value in os.environ.items() if not name.startswith("PROSPOLABS_")}
    ran = subprocess.run(command, cwd=folder, env=environment, capture_output=True, text=True, check=False)
    return ran.stdout, time.monotonic() - started


def _table(spec: Spec, judged: dict[str, tuple[Judged, Judged]]) -> Table:
    table = Table(box=SIMPLE, title=f"{len(judged)} faults, each judged by both", title_justify="left")
    table.add_column("area")
    table.add_column("faults", justify="right")
    for name in ("suite", "schemathesis"):
        for column in ("found", "requests", "seconds"):
            table.add_column(f"{name} {column}", justify="right")
    areas: dict[str, list[tuple[Judged, Judged]]] = {}
    for id, pair in judged.items():
        areas.setdefault(spec.requirement(FAULTS[id].requirement).area, []).append(pair)
    for area, pairs in [*sorted(areas.items()), ("in all", list(judged.values()))]:
        cells = []
        for side in range(2):
            of = [pair[side] for pair in pairs]
            cells += [str(sum(each.found for each in of)), f"{sum(each.requests for each in of):,}"]
            cells.append(f"{sum(each.seconds for each in of):.0f}")
        table.add_row(area, str(len(pairs)), *cells)
    return table


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--faults", type=int, default=40, help="how many, over all areas")
    parser.add_argument("--examples", type=int, help="schemathesis's --max-examples; its own default unless given")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def main() -> None:
    options, spec = _options(), load(trusted=True)
    # What the mock remarks of webhooks that it does not send is of no account here.
    logging.disable()
    say = Console(stderr=True, highlight=False).print
    usual, _, _ = schemathesis(frozenset(), options.examples)
    judged: dict[str, tuple[Judged, Judged]] = {}
    for id in sample(spec, options.faults):
        ours = suite(id)
        reported, requests, seconds = schemathesis(frozenset({id}), options.examples)
        judged[id] = (ours, Judged(bool(reported - usual), requests, seconds))
        say(f"{id}: suite {'found' if ours.found else 'NOT found'}, schemathesis {sorted(reported - usual) or 'not'}")
    Console(width=WIDTH).print(_table(spec, judged))
    figures = {id: {"suite": asdict(ours), "schemathesis": asdict(its)} for id, (ours, its) in judged.items()}
    keep(options.json, "suite", figures)


if __name__ == "__main__":
    run_main(main)
