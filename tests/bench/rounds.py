"""Rounds that take turns, and what is told of them: what the benchmarks have in common. Here lives no measure.

Each round runs every work once, so that a busy moment of the machine hits all alike, and a ratio is the median of the
ratios within a round. Time is CPU time, which other work on the machine changes less than it does the clock's.
"""

from __future__ import annotations

import json
import os
import platform
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / ".venv/bench"
"""Where peers are installed that nothing but a benchmark needs."""
WIDTH = 120
"""Characters of the tables."""


class BenchError(Exception):
    """The measurement cannot be made; says why and what to do."""


@dataclass(frozen=True, slots=True)
class Work:
    """One thing that is measured."""

    name: str
    run: Callable[[], float]
    """One round of it; gives the CPU time of one unit, in seconds."""


BLOCK = 100
"""Items that a judge sees twice, and is timed the second time: then they are in the caches, as what a program has just
made or read is, and the measure is that of the judge and not of the machine's memory."""


def over(items: Sequence[Any], judge: Callable[[Any], object]) -> Callable[[], float]:
    """A round in this process: the CPU time of one item, in seconds."""
    blocks = [items[start : start + BLOCK] for start in range(0, len(items), BLOCK)]

    def run() -> float:
        taken = 0.0
        for block in blocks:
            for item in block:
                judge(item)
            started = time.process_time()
            for item in block:
                judge(item)
            taken += time.process_time() - started
        return taken / len(items)

    return run


def command(*words: str | Path, folder: Path | None = None) -> Callable[[], float]:
    """A round in a process of its own: the CPU time from its start to its end, user and system, in seconds."""

    def run() -> float:
        before = children_cpu_s()
        ran = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
        if ran.returncode:
            raise BenchError(
                f"{' '.join(map(str, words))} ended with {ran.returncode}: {(ran.stderr or ran.stdout)[-500:]}"
            )
        return children_cpu_s() - before

    return run


def children_cpu_s() -> float:
    """What the processes took that have ended, user and system, in seconds."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def measured(works: Sequence[Work], rounds: int, warm_up: int = 1) -> dict[str, list[float]]:
    """Name -> the time of each round, in seconds."""
    found: dict[str, list[float]] = {work.name: [] for work in works}
    for number in range(-warm_up, rounds):
        for work in works:
            taken = work.run()
            if number >= 0:
                found[work.name].append(taken)
    return found


def summed(times: Mapping[str, Sequence[float]], first: str) -> dict[str, Any]:
    """Median, range and rounds of each, in seconds, and how many times as long as the first one it takes."""
    return {
        name: {
            "median_s": statistics.median(each),
            "least_s": min(each),
            "most_s": max(each),
            "over_first": statistics.median(a / b if b else 0.0 for a, b in zip(each, times[first], strict=True)),
            "rounds_s": list(each),
        }
        for name, each in times.items()
    }


def table(title: str, found: Mapping[str, Any], *, unit: str, per_s: float, digits: int = 2) -> Any:
    """A table of `summed`: `per_s` units of time are a second."""
    from rich.box import SIMPLE
    from rich.table import Table

    made = Table(title=title, title_justify="left", box=SIMPLE)
    made.add_column("", no_wrap=True)
    for column in (f"median {unit}", "least", "most", "x"):
        made.add_column(column, justify="right", no_wrap=True)
    for name, told in found.items():
        times = [f"{told[key] * per_s:,.{digits}f}" for key in ("median_s", "least_s", "most_s")]
        made.add_row(name, *times, f"{told['over_first']:.2f}")
    return made


def machine(*packages: str) -> dict[str, Any]:
    """Where the figures come from: the processors, Python, the system, and the versions of packages."""
    known: dict[str, Any] = {"cpus": os.cpu_count(), "python": platform.python_version()}
    known["platform"] = platform.platform()
    for name in packages:
        try:
            known[name] = version(name)
        except PackageNotFoundError:
            known[name] = None
    return known


def keep(path: Path | None, measure: str, told: Mapping[str, Any]) -> None:
    """Put the figures of one measure into a JSON file, beside those of the others."""
    if path is None:
        return
    known = json.loads(path.read_text("utf-8")) if path.exists() else {}
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps({**known, measure: told}, indent=2) + "\n", "utf-8")


def installed(*requirements: str) -> None:
    """Packages that only a benchmark needs, in a folder of their own behind all others. Raises BenchError."""
    folder = FOLDER / "python"
    if str(folder) not in sys.path:
        sys.path.append(str(folder))
    missing = [each for each in requirements if not (folder / f".{each}").exists()]
    if not missing:
        return
    print(f"installing {', '.join(missing)} into {folder} ...", file=sys.stderr)
    pip = [sys.executable, "-m", "pip", "install", "--quiet", "--disable-pip-version-check", "--target", str(folder)]
    if subprocess.run([*pip, *missing], stdout=sys.stderr, check=False).returncode:
        raise BenchError("pip could not install them; see above, or leave the peers out: --without-peers")
    for each in missing:
        (folder / f".{each}").touch()


def installed_by_npm(packages: Mapping[str, str], *, without: str) -> Path:
    """The folder of the commands of packages from npm, by name and version. Raises BenchError."""
    modules = FOLDER / "node_modules"
    wanted = [f"{name}@{version}" for name, version in packages.items() if _npm_version(modules / name) != version]
    if wanted:
        if not shutil.which("npm"):
            raise BenchError(
                f"npm is missing, and {wanted[0]} comes from it; install Node.js, or leave it out: {without}"
            )
        print(f"installing {', '.join(wanted)} into {FOLDER} ...", file=sys.stderr)
        FOLDER.mkdir(parents=True, exist_ok=True)
        options = ["--no-audit", "--no-fund", "--loglevel", "error", "--prefix", str(FOLDER)]
        if subprocess.run(["npm", "install", *options, *wanted], stdout=sys.stderr, check=False).returncode:
            raise BenchError(f"npm could not install {wanted[0]}; see above, or leave it out: {without}")
    return modules / ".bin"


def _npm_version(package: Path) -> str | None:
    manifest = package / "package.json"
    return str(json.loads(manifest.read_text("utf-8"))["version"]) if manifest.exists() else None


def main(run: Callable[[], None]) -> None:
    """Run a benchmark; what it cannot do is told in a line."""
    try:
        run()
    except BenchError as error:
        sys.exit(f"bench: {error}")
