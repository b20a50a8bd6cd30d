"""What `prospec validate` takes for a file of many requests, beside loops that only parse its lines.

`make bench` runs it. Each is a process of its own, told by the CPU time from its start to its end, that of the
processes that it starts included; by the clock, which other work on the machine disturbs; and by the most memory that
one process had. The lines are requests over all documented modes, about 400 bytes each, one in 100,000 of them
invalid. Here live no assertions; tests/test_bench_files.py sees that this runs.
"""

from __future__ import annotations

import argparse
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

from prospec.loader import load
from rich.box import SIMPLE
from rich.console import Console
from rich.table import Table
from rounds import WIDTH, BenchError, Work, keep, machine, main, measured, summed
from validate import drawn

KINDS = 2000
"""Different requests, of which the file is made."""
BAD = b'{"model": "seedance-2-fast", "mode": "text", "params": {"prompt": "x", "duration": 99}}\n'
BAD_EVERY = 100_000
PARSE = "import sys, {module}\nfor line in open(sys.argv[1], 'rb'): {module}.loads(line)"
FIRST = "orjson.loads of each line, no more"
LOOPS = {FIRST: PARSE.format(module="orjson"), "json.loads of each line, no more": PARSE.format(module="json")}
COMMANDS = {
    "prospec validate --jobs 1": ("--jobs", "1"),
    "prospec validate --jobs 2": ("--jobs", "2"),
    "prospec validate --jobs 1 --format json": ("--jobs", "1", "--format", "json"),
}


def write(path: Path, count: int) -> int:
    """A file of so many requests. Returns its size in bytes."""
    lines = [each.data + b"\n" for each in drawn(load(trusted=True), KINDS) if each.is_valid]
    with path.open("wb") as file:
        for number in range(count):
            file.write(lines[number % len(lines)] if (number + 1) % BAD_EVERY else BAD)
    return path.stat().st_size


def process(told: list[dict[str, float]], *words: str | Path, expected: int) -> Callable[[], float]:
    """A round of a command; beyond its CPU time, what else is known of it is added to `told`."""

    def run() -> float:
        started = time.monotonic()
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _, status, used = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != expected:
            raise BenchError(f"{' '.join(map(str, words))} ended with {child.returncode}")
        kib = used.ru_maxrss / (1024 if sys.platform == "darwin" else 1)
        told.append({"wall_s": time.monotonic() - started, "largest_mib": kib / 1024})
        return used.ru_utime + used.ru_stime

    return run


def found(file: Path, rounds: int, *, has_bad: bool) -> dict[str, Any]:
    """Times of the loops and of the command, in turns."""
    beside: dict[str, list[dict[str, float]]] = {name: [] for name in (*LOOPS, *COMMANDS)}
    works = [
        Work(name, process(beside[name], sys.executable, "-c", code, file, expected=0)) for name, code in LOOPS.items()
    ]
    for name, options in COMMANDS.items():
        words = (sys.executable, "-m", "prospec", "validate", file, *options)
        works.append(Work(name, process(beside[name], *words, expected=1 if has_bad else 0)))
    told = summed(measured(works, rounds, warm_up=0), FIRST)
    return {name: {**each, "beside": beside[name]} for name, each in told.items()}


def _table(told: dict[str, Any], count: int, size: int) -> Table:
    title = f"{count:,} requests, {size / 1e6:,.0f} MB"
    made = Table(title=title, title_justify="left", box=SIMPLE)
    made.add_column("", no_wrap=True)
    for column in ("median CPU s", "x", "MB a CPU second", "clock s", "largest process"):
        made.add_column(column, justify="right", no_wrap=True)
    for name, each in told.items():
        clock = sorted(one["wall_s"] for one in each["beside"])[len(each["beside"]) // 2]
        memory = max(one["largest_mib"] for one in each["beside"])
        figures = (f"{each['median_s']:.2f}", f"{each['over_first']:.2f}", f"{size / 1e6 / each['median_s']:,.0f}")
        made.add_row(name, *figures, f"{clock:.2f}", f"{memory:.0f} MiB")
    return made


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--requests", type=int, default=4_000_000)
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def run() -> None:
    options = _options()
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "requests.ndjson"
        size = write(file, options.requests)
        told = found(file, options.rounds, has_bad=options.requests >= BAD_EVERY)
    Console(width=WIDTH).print(_table(told, options.requests, size))
    known = {"machine": machine("orjson", "msgspec"), "requests": options.requests, "bytes": size}
    keep(options.json, "files", {**known, "found": told})


if __name__ == "__main__":
    main(run)
