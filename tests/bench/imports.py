"""What it costs to start: importing the binding, its first verdict, and the command line, beside what others cost.

`make bench` runs it. Each is a process of its own, measured by the CPU time from its start to its end, and told as
what it takes beyond a Python that does nothing. Here live no assertions; tests/test_bench_start.py sees that this runs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from prospec.example import example_request
from prospec.loader import load
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rounds import WIDTH, Work, command, keep, machine, main, measured, summed

BARE = "python, nothing imported"
STATEMENTS = {
    BARE: "pass",
    "import prospo": "import prospo",
    "the first prospo.is_valid": "import prospo; prospo.is_valid({})",
    "the first prospo.is_valid_json": "import prospo; prospo.is_valid_json(b'{}')",
    "the first prospo.validate": "import prospo; prospo.validate({})",
}
PEERS = {
    f"import {name}": f"import {name}" for name in ("jsonschema_rs", "msgspec", "jsonschema", "pydantic", "httpx2")
}


def found(request: Path, rounds: int, peers: bool) -> dict[str, Any]:
    """Times of statements and commands, in turns."""
    statements = {**STATEMENTS, **(PEERS if peers else {})}
    works = [Work(name, command(sys.executable, "-c", code)) for name, code in statements.items()]
    for words in (("--version",), ("--help",), ("validate", str(request))):
        shown = " ".join(("prospec", *words)).replace(str(request), request.name)
        works.append(Work(shown, command(sys.executable, "-m", "prospec", *words)))
    return summed(measured(works, rounds), BARE)


def _table(told: dict[str, Any]) -> Table:
    made = Table(title="From the start of the process to its end, CPU time", title_justify="left", box=SIMPLE)
    made.add_column("", no_wrap=True)
    for column in ("median ms", "least", "beyond bare Python"):
        made.add_column(column, justify="right", no_wrap=True)
    for name, each in told.items():
        beyond = each["median_s"] - told[BARE]["median_s"]
        made.add_row(name, *(f"{time_s * 1e3:,.0f}" for time_s in (each["median_s"], each["least_s"], beyond)))
    return made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=20)
    parser.add_argument("--without-peers", action="store_true")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def run() -> None:
    options, spec = _options(), load(trusted=True)
    model = spec.models[0]
    with tempfile.TemporaryDirectory() as folder:
        request = Path(folder) / "request.json"
        request.write_text(json.dumps(example_request(spec, model, model.modes[0])), "utf-8")
        told = found(request, options.rounds, not options.without_peers)
    Console(width=WIDTH).print(_table(told))
    keep(options.json, "imports", {"machine": machine("cyclopts", "rich"), "found": told})


if __name__ == "__main__":
    main(run)
