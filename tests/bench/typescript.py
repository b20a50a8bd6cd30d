"""How long a verdict of the npm package takes, on one core, beside Ajv and beside reading alone, with their verdicts.

`make bench` runs it. The requests are those of validate.py, judged in one process of Node.js by typescript.mjs. Ajv
gets the schema of the very model and mode, chosen by hand as a careful user would, as code made ahead and as code made
at the start. Where a verdict is another than ours, that is told beside its time. Here live no assertions on speed;
tests/test_bench_typescript.py sees that this runs.
"""

from __future__ import annotations

import argparse
import base64
import importlib
import json
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from prospec.ir import Spec
from prospec.loader import load
from prospec.schema import pairs, request_schema
from rich.console import Console
from rounds import BLOCK, ROOT, WIDTH, BenchError, Work, keep, machine, main, measured, summed, table
from validate import Judge, Peer, Sent, differences, drawn

SCRIPT = Path(__file__).with_suffix(".mjs")
WARM_UP = 200_000
"""Verdicts of a judge until V8 has compiled it with all that it learns."""
TURNS = 20
"""How often a block is judged, timed. The clock of CPU time ticks in microseconds, in which several are judged."""
OF_INVALID = "the problems of an invalid one"
"""How groups begin that are asked for the invalid requests alone."""
Ask = Callable[[object], Any]


@dataclass(frozen=True, slots=True)
class Tools:
    """What is needed of Node.js."""

    node: str
    modules: Path
    """Where Ajv is."""
    package: Path
    """The index of the npm package, built."""


def tools() -> Tools:
    """Those of the tests, which install and build them where that is due. Raises BenchError."""
    sys.path.append(str(ROOT / "tests"))
    nodejs = importlib.import_module("node")
    try:
        return Tools(nodejs.node(), nodejs.installed(nodejs.TOOLS), nodejs.built() / "dist" / "index.js")
    except (pytest.skip.Exception, pytest.fail.Exception, AssertionError) as error:
        raise BenchError(f"{error}; what is measured is the npm package, which npm and tsc build") from None


@contextmanager
def judging(node: str, asked: object) -> Iterator[tuple[Any, Ask]]:
    """The script in a process of its own: its answer to what it is asked first, and how to ask it more."""
    with subprocess.Popen([node, SCRIPT], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:

        def ask(what: object) -> Any:
            assert process.stdin
            assert process.stdout
            try:
                process.stdin.write(json.dumps(what) + "\n")
                process.stdin.flush()
            except BrokenPipeError:
                raise BenchError(f"{SCRIPT.name} ended before it was asked all; see above") from None
            if line := process.stdout.readline():
                return json.loads(line)
            raise BenchError(f"{SCRIPT.name} ended without an answer; see above")

        try:
            yield ask(asked), ask
        finally:
            process.kill()


def asked(spec: Spec, sent: Sequence[Sent], use: Tools, *, with_peers: bool) -> dict[str, Any]:
    """What the script is asked first: it says there what that is."""
    return {
        "package": str(use.package),
        "ajv": str(use.modules) if with_peers else None,
        "requests": [base64.b64encode(each.data).decode() for each in sent],
        "invalid": [base64.b64encode(each.data).decode() for each in sent if not each.is_valid],
        "modes": [(model.id, mode.id, request_schema(spec, model, mode, strict=False)) for model, mode in pairs(spec)],
        "block": BLOCK,
        "turns": TURNS,
    }


def compared(group: str, names: Sequence[str], ask: Ask, sent: Sequence[Sent], options: Any) -> dict[str, Any]:
    """Times and verdicts of the judges of one group, in turns."""
    works = [Work(name, partial(ask, (group, name, "time"))) for name in names]
    warm_up = -(-options.warm_up // (TURNS * len(sent)))
    found = summed(measured(works, options.rounds, warm_up), names[0])
    for name in names:
        if not name.endswith(" alone"):
            judge = _told(ask((group, name, "verdicts")))
            found[name]["differences"] = differences(Peer(name, judge), sent)
    return found


def _told(verdicts: Iterable[bool]) -> Judge:
    """A judge that has said it all before: of each request, in their order, in which it has to be asked."""
    left = iter(verdicts)
    return lambda _: next(left)


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, default=2000)
    parser.add_argument("--rounds", type=int, default=11)
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help="verdicts of each before those that count")
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def run() -> None:
    options, spec, use = _options(), load(trusted=True), tools()
    sent = drawn(spec, options.requests)
    invalid = [each for each in sent if not each.is_valid]
    told, console = {}, Console(width=WIDTH)
    with judging(use.node, asked(spec, sent, use, with_peers=not options.without_peers)) as (said, ask):
        for group, names in said["groups"].items():
            of = invalid if group.startswith(OF_INVALID) else sent
            told[group] = compared(group, names, ask, of, options)
            title = f"{len(of):,} requests of {_mean_bytes(of):.0f} bytes, {group}"
            console.print(table(title, told[group], unit="us", per_s=1e6, digits=3))
            for name, figures in told[group].items():
                for what, count in figures.get("differences", {}).items():
                    console.print(f"  {name} {what}: {count}", highlight=False)
    known = {"machine": machine() | said["versions"], "requests": len(sent), "bytes": _mean_bytes(sent)}
    keep(options.json, "typescript", {**known, "found": told})


def _mean_bytes(sent: Sequence[Sent]) -> float:
    return sum(len(each.data) for each in sent) / len(sent)


if __name__ == "__main__":
    main(run)
