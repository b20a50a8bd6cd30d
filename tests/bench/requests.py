"""How many requests a second the suite sends, and what one costs it over a bare loop of httpx2 that sends as many.

`make bench` runs it. Both are processes of their own, and both speak to a mock in a third, so that what is measured is
the sender alone. The suite's figure holds all that it does: making up requests, judging answers, the report. Here live
no assertions.
"""

from __future__ import annotations

import argparse
import json
import os
import secrets
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from rich.console import Console
from rounds import WIDTH, BenchError, children_cpu_s, keep, machine, main, summed, table

KEYS = {name: f"prsp-{secrets.token_hex(16)}" for name in ("PROSPOLABS_API_KEY", "PROSPOLABS_SECOND_API_KEY")}
ENVIRONMENT = {**os.environ, **KEYS, "PROSPOLABS_WEBHOOK_SECRET": secrets.token_hex(16)}
LIMITS = ("--rate-limit", "0", "--balance", "10000000")
BARE = """
import os, sys, httpx2
url, count = sys.argv[1], int(sys.argv[2])
headers = {"Authorization": f"Bearer {os.environ['PROSPOLABS_API_KEY']}"}
body = {"model": "kling-o3", "mode": "text", "params": {"prompt": "A red ball on a white table"}}
with httpx2.Client(base_url=url, headers=headers) as client:
    for _ in range(count):
        client.post("/v1/generate", params={"async": "true"}, json=body).raise_for_status()
"""
NAMES = ("bare loop of httpx2", "suite")


@contextmanager
def mock() -> Iterator[str]:
    """A mock in a process of its own; gives its base URL."""
    command = [sys.executable, "-m", "prospec", "mock", *LIMITS]
    quiet = {"stdout": subprocess.PIPE, "stderr": subprocess.DEVNULL}
    with subprocess.Popen(command, env=ENVIRONMENT, text=True, **quiet) as process:  # type: ignore[call-overload]
        try:
            url = process.stdout.readline().strip()
            if not url:
                raise BenchError("the mock did not start: run `prospec mock` to see why")
            yield url
        finally:
            process.terminate()


def sent(url: str, only: str | None) -> tuple[int, float, float]:
    """Requests of one run of the suite, CPU time of each, in seconds, and requests a second by the clock."""
    command = [sys.executable, "-m", "prospec", "conformance", "run", "--base-url", url, "--max-spend", "1000000"]
    command += ["--only", only] if only else []
    with tempfile.TemporaryDirectory() as folder:
        cpu_s, wall_s, said = _run([*command, "--format", "json"], folder)
    report = json.loads(said)
    return report["requests"], cpu_s / report["requests"], report["requests"] / wall_s


def bare(url: str, count: int) -> tuple[float, float]:
    """The same of the loop: CPU time of a request, in seconds, and requests a second."""
    cpu_s, wall_s, _ = _run([sys.executable, "-c", BARE, url, str(count)], None)
    return cpu_s / count, count / wall_s


def _run(command: list[str], folder: str | None) -> tuple[float, float, str]:
    started, before = time.monotonic(), children_cpu_s()
    ran = subprocess.run(command, cwd=folder, env=ENVIRONMENT, capture_output=True, text=True, check=False)
    if ran.returncode not in (0, 1):
        raise BenchError(f"{' '.join(command[1:5])} ended with {ran.returncode}: {ran.stderr[-500:]}")
    return children_cpu_s() - before, time.monotonic() - started, ran.stdout


def measured(rounds: int, only: str | None) -> dict[str, Any]:
    """Each in turns, on one mock."""
    times: dict[str, list[float]] = {name: [] for name in NAMES}
    rates: dict[str, list[float]] = {name: [] for name in NAMES}
    counts = []
    with mock() as url:
        for _ in range(rounds):
            count, *of_suite = sent(url, only)
            counts.append(count)
            for name, (cpu_s, per_s) in zip(NAMES, (bare(url, count), of_suite), strict=True):
                times[name].append(cpu_s)
                rates[name].append(per_s)
    found = summed(times, NAMES[0])
    return {name: {**found[name], "per_s": rates[name], "requests": counts} for name in NAMES}


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", help="areas of requirements, as the suite takes them")
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    return parser.parse_args()


def run() -> None:
    options = _options()
    found = measured(options.rounds, options.only)
    Console(width=WIDTH).print(table("Sending one request: CPU time of the sender", found, unit="ms", per_s=1e3))
    keep(options.json, "requests", {"machine": machine("httpx2", "pytest", "hypothesis"), "found": found})


if __name__ == "__main__":
    main(run)
