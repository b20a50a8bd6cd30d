"""How `prospec validate` grows with the requests, on this machine and on Ray: time, CPU time and memory, and a plot.

Each run is a process of its own with all that it starts, Ray's daemons included, looked at ten times a second in /proc:
CPU time is what was last seen of each process, memory the most that all of them had at one moment, what they share
counted once. Linux only. `--page docs/scale.md` writes the table and the plot into the page. Here live no
assertions; tests/test_bench_growth.py sees that this runs.
"""

from __future__ import annotations

import argparse
import ctypes
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any

from files import BAD_EVERY, write
from rounds import BenchError, keep, machine, main

ENGINES = {
    "local, --jobs 2": ("--jobs", "2"),
    "--engine ray, --jobs 2": ("--engine", "ray", "--jobs", "2"),
}
COUNTS = (100_000, 1_000_000, 10_000_000)
EVERY_S = 0.1
TICKS = os.sysconf("SC_CLK_TCK")
SUBREAPER = 36
"""PR_SET_CHILD_SUBREAPER: what its parent leaves behind becomes a child of this process, and is not lost sight of."""
BEGIN, END = "<!-- made by tests/bench/growth.py -->", "<!-- to here -->"


def run_of(words: Sequence[str | Path], expected: int) -> dict[str, float]:
    """What a command took: `wall_s`, `cpu_s`, `peak_mib`."""
    started = time.monotonic()
    seen: dict[tuple[int, str], float] = {}
    peak = 0
    environment = {**os.environ, "RAY_ADDRESS": ""}
    with tempfile.TemporaryFile() as said:
        child = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=said, env=environment)
        ended, status, used = os.wait4(child.pid, os.WNOHANG)
        while not ended:
            peak = max(peak, _look(seen))
            time.sleep(EVERY_S)
            ended, status, used = os.wait4(child.pid, os.WNOHANG)
        wall_s = time.monotonic() - started
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode != expected:
            said.seek(0)
            raise BenchError(f"{' '.join(map(str, words))} ended with {child.returncode}: {said.read()[-500:]!r}")
    # Exact where every process was waited for, as those of the local engine are and those of Ray are not.
    cpu_s = max(sum(seen.values()), used.ru_utime + used.ru_stime)
    return {"wall_s": wall_s, "cpu_s": cpu_s, "peak_mib": peak / 1024}


def _look(seen: dict[tuple[int, str], float]) -> int:
    """Take down the CPU time of every process below this one; returns their memory in KiB."""
    memory = 0
    for pid, fields in _below():
        # In the order of proc(5), from the third: user time, system time, when it started.
        seen[pid, fields[19]] = (int(fields[11]) + int(fields[12])) / TICKS
        with suppress(OSError):
            found = re.search(r"^Pss:\s+([0-9]+) kB", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
            memory += int(found[1]) if found else 0
    return memory


def _below() -> Iterator[tuple[int, list[str]]]:
    """Every process below this one, with its fields from the third on."""
    fields: dict[int, list[str]] = {}
    children: defaultdict[int, list[int]] = defaultdict(list)
    for folder in Path("/proc").iterdir():
        if folder.name.isdigit():
            with suppress(OSError):
                pid = int(folder.name)
                fields[pid] = (folder / "stat").read_text().rpartition(")")[2].split()
                children[int(fields[pid][1])].append(pid)
    below = list(children[os.getpid()])
    for pid in below:
        below += children[pid]
        yield pid, fields[pid]


def grown(counts: Sequence[int], folder: Path) -> list[dict[str, Any]]:
    """A row a number of requests and engine."""
    rows = []
    for count in counts:
        file = folder / f"{count}.ndjson"
        size = write(file, count)
        for name, options in ENGINES.items():
            words = (sys.executable, "-m", "prospec", "validate", file, *options)
            load = os.getloadavg()[0]
            row = run_of(words, 1 if count >= BAD_EVERY else 0)
            rows.append({"engine": name, "requests": count, "bytes": size, "load": load, **row})
            print(f"{name}, {count:,}: {row['wall_s']:.1f} s, {row['peak_mib']:.0f} MiB", file=sys.stderr)
        file.unlink()
    return rows


# The page


def table(told: Mapping[str, Any]) -> str:
    """The table of the page, and what it was measured on."""
    lines = [
        "| requests | MB | engine | clock s | CPU s | requests a second | memory of all processes, MiB |",
        "|--:|--:|---|--:|--:|--:|--:|",
    ]
    for row in told["rows"]:
        cells = [f"{row['requests']:,}", f"{row['bytes'] / 1e6:,.0f}", row["engine"]]
        cells += [f"{row['wall_s']:.1f}", f"{row['cpu_s']:.1f}", f"{row['requests'] / row['wall_s']:,.0f}"]
        cells.append(f"{row['peak_mib']:,.0f}")
        lines.append(f"| {' | '.join(cells)} |")
    of = told["machine"]
    busy = f"the load of the machine before a run was {min(_loads(told)):.1f} to {max(_loads(told)):.1f}"
    lines.append(f"\n{of['cpus']} cores, Python {of['python']}, Ray {of['ray']}, {of['platform']}; {busy}.")
    return "\n".join(lines)


def _loads(told: Mapping[str, Any]) -> list[float]:
    return [row["load"] for row in told["rows"]]


def plot(told: Mapping[str, Any], file: Path) -> None:
    """Time and memory over the number of requests, on logarithmic axes, as SVG."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "growth"
    from matplotlib import pyplot

    figure, (times, memory) = pyplot.subplots(1, 2, figsize=(10, 4), layout="constrained")
    for name in dict.fromkeys(row["engine"] for row in told["rows"]):
        rows = [row for row in told["rows"] if row["engine"] == name]
        counts = [row["requests"] for row in rows]
        (line,) = times.plot(counts, [row["wall_s"] for row in rows], marker="o", label=f"{name}, clock")
        cpu = [row["cpu_s"] for row in rows]
        times.plot(counts, cpu, marker="o", linestyle=":", color=line.get_color(), label=f"{name}, CPU")
        memory.plot(counts, [row["peak_mib"] for row in rows], marker="o", label=name)
    for axes, title in ((times, "seconds"), (memory, "MiB of all processes")):
        axes.set(xscale="log", xlabel="requests", title=title)
        axes.grid(alpha=0.3)
        axes.legend()
    times.set_yscale("log")
    memory.set_ylim(bottom=0)
    figure.savefig(file, metadata={"Date": None})
    pyplot.close(figure)


def put(told: Mapping[str, Any], page: Path) -> None:
    """The table and the plot, between the marks of the page. Raises BenchError."""
    before, begin, rest = page.read_text("utf-8").partition(BEGIN)
    _, end, after = rest.partition(END)
    if not begin or not end:
        raise BenchError(f"{page} has no lines {BEGIN} and {END}")
    picture = page.with_suffix(".svg")
    plot(told, picture)
    shown = f"![time and memory over the number of requests]({picture.name})"
    page.write_text(f"{before}{begin}\n\n{table(told)}\n\n{shown}\n\n{end}{after}", "utf-8")


def _options() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--requests", type=int, nargs="+", default=COUNTS)
    parser.add_argument("--json", type=Path, help="where the figures go, too")
    parser.add_argument("--from", type=Path, dest="kept", help="measure nothing; take the figures of this file")
    parser.add_argument("--page", type=Path, help="the page that gets the table and the plot")
    return parser.parse_args()


def run() -> None:
    options = _options()
    if options.kept:
        told = json.loads(options.kept.read_text("utf-8"))["growth"]
    else:
        ctypes.CDLL(None).prctl(SUBREAPER, 1, 0, 0, 0)
        with tempfile.TemporaryDirectory() as folder:
            told = {"machine": machine("ray"), "rows": grown(options.requests, Path(folder))}
        keep(options.json, "growth", told)
    print(table(told))
    if options.page:
        put(told, options.page)


if __name__ == "__main__":
    main(run)
