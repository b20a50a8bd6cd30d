"""docs/performance.md out of the figures that the benchmarks keep: how to read them, each measure beside its peers.

`make bench` runs it at the end. Here lives no measuring.
"""

from __future__ import annotations

import argparse
import json
import statistics
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

Figures = Mapping[str, Any]
HEAD = """# Performance

Made by `make bench` out of `reports/bench.json`; by hand are only the words. `make bench MEASURES=validate` runs one
measure; `--without-peers` and `--without-prism` after a file of `tests/bench/` leave out what has to be installed.

**How to read it.** Within a measure everything takes turns, round by round, so that a busy moment of the machine hits
all alike. Times are CPU time, user and system, of one core, unless it says that they are the clock's; what is told is
the median of the rounds. A ratio is the median of the ratios within a round: trust it before the times, which are those
of one machine. No test holds a figure; tests see only that each benchmark runs.
"""


@dataclass(frozen=True, slots=True)
class Goal:
    """What was wanted, and what came of it."""

    wanted: str
    limit: float
    got: float
    is_least: bool = False
    """Whether the limit is the least that is wanted, and not the most."""

    @property
    def line(self) -> str:
        is_met = self.got >= self.limit if self.is_least else self.got <= self.limit
        met = "yes" if is_met else f"no, {self.got / self.limit:.2f} times the limit"
        return (
            f"| {self.wanted} | {self.got:.2f} | {'at least' if self.is_least else 'at most'} {self.limit:g} | {met} |"
        )


def page(known: Figures) -> str:
    """The whole page. A measure that was not run is left out."""
    parts = [HEAD]
    goals = [goal.line for name, of in GOALS.items() if name in known for goal in of(known[name])]
    if goals:
        parts.append("\n".join(["## Goals\n", "| | measured | wanted | met |", "|---|--:|--:|---|", *goals, ""]))
    parts += [section(known[name]) for name, section in SECTIONS.items() if name in known]
    return "\n".join(parts)


def _over(found: Figures, name: str, other: str) -> float:
    """How many times as long one takes as another, within a round."""
    return _ratio(found[name]["rounds_s"], found[other]["rounds_s"])


def _ratio(times_s: Sequence[float], other_s: Sequence[float]) -> float:
    """The median of the ratios within a round."""
    return statistics.median(a / b for a, b in zip(times_s, other_s, strict=True))


def _clock_s(found: Figures, name: str) -> list[float]:
    """What each round of it took by the clock, in seconds."""
    return [each["wall_s"] for each in found[name]["beside"]]


def _validate_goals(told: Figures) -> Iterator[Goal]:
    objects, lines = told["found"]["from an object"], told["found"]["from bytes"]
    lists = told["found"]["the problems of an invalid one"]
    if "jsonschema-rs" in objects:
        yield Goal("`is_valid`, in times of jsonschema-rs", 1, _over(objects, "prospo.is_valid", "jsonschema-rs"))
        rust = _over(lines, "prospo.is_valid_json", "jsonschema-rs after orjson")
        yield Goal("`is_valid_json`, in times of jsonschema-rs after orjson", round(1 / 1.3, 2), rust)
    bare = _over(lines, "prospo.is_valid_json", "msgspec, decoding alone")
    yield Goal("`is_valid_json`, in times of decoding alone", 1.5, bare)
    of_bytes = _over(lists, "prospo.validate_json", "prospo.is_valid_json")
    yield Goal("all problems of an invalid request, in times of the verdict, from bytes", 8, of_bytes)
    of_object = _over(lists, "prospo.validate", "prospo.is_valid")
    yield Goal("all problems of an invalid request, in times of the verdict, from an object", 8, of_object)


def _typescript_goals(told: Figures) -> Iterator[Goal]:
    objects, texts, data = (told["found"][f"from {what}"] for what in ("an object", "a text", "bytes"))
    if "Ajv, standalone code" in objects:
        ajv = _over(objects, "prospo.isValid", "Ajv, standalone code")
        yield Goal("`isValid` in TypeScript, in times of Ajv's standalone code", 1, ajv)
    bare = _over(texts, "prospo.isValidJson", "JSON.parse alone")
    yield Goal("`isValidJson` in TypeScript, in times of JSON.parse alone, from a text", 2, bare)
    bare = _over(data, "prospo.isValidJson", "TextDecoder and JSON.parse alone")
    yield Goal("`isValidJson` in TypeScript, in times of TextDecoder and JSON.parse alone, from bytes", 2, bare)


def _files_goals(told: Figures) -> Iterator[Goal]:
    found = told["found"]
    parsing, one, two = "orjson.loads of each line, no more", "prospec validate --jobs 1", "prospec validate --jobs 2"
    if one in found and parsing in found:
        yield Goal(f"`{one}` of a file, in times of orjson's parsing of its lines", 2.5, _over(found, one, parsing))
    if one in found and two in found:
        times = _ratio(_clock_s(found, one), _clock_s(found, two))
        yield Goal(f"`{two}`, times as fast as one, by the clock", 1.7, times, is_least=True)


def _mock_goals(told: Figures) -> Iterator[Goal]:
    for name, times in told["mock_over"]["per_s"].items():
        if name.startswith("Prism"):
            yield Goal(f"validated posts a second of the mock, in times of {name}", 4, times, is_least=True)


def _suite_goals(told: Figures) -> Iterator[Goal]:
    seconds = statistics.median(judged["suite"]["seconds"] for judged in told.values())
    yield Goal("the whole suite on the embedded mock, which has a fault, s by the clock", 60, seconds)


def _imports_goals(told: Figures) -> Iterator[Goal]:
    found = told["found"]
    bare = found["python, nothing imported"]["median_s"]
    yield Goal("`import prospo`, ms beyond bare Python", 25, max(0.0, found["import prospo"]["median_s"] - bare) * 1e3)
    yield Goal("`prospec --help`, ms", 150, found["prospec --help"]["median_s"] * 1e3)
    yield Goal("`prospec validate` of one file, ms", 250, found["prospec validate request.json"]["median_s"] * 1e3)


def _codegen_goals(told: Figures) -> Iterator[Goal]:
    for name, each in told["cold"].items():
        if name.startswith("prospec codegen"):
            yield Goal(
                f"`{name.partition(',')[0]}`{name.partition(',')[1]}{name.partition(',')[2]}, s", 1, each["median_s"]
            )


def _table(found: Figures, unit: str, per_s: float, digits: int) -> list[str]:
    lines = [f"| | median, {unit} | least | most | times the first |", "|---|--:|--:|--:|--:|"]
    for name, each in found.items():
        times = [f"{each[key] * per_s:,.{digits}f}" for key in ("median_s", "least_s", "most_s")]
        lines.append(f"| {name} | {' | '.join(times)} | {each['over_first']:.2f} |")
    return [*lines, ""]


def _machine(told: Figures) -> str:
    known = [f"{name} {value}" for name, value in told["machine"].items() if value is not None]
    return f"Measured with: {', '.join(known)}.\n"


def _judges(told: Figures, digits: int) -> Iterator[str]:
    """Times of each group of judges of requests, and their other verdicts."""
    for title, found in told["found"].items():
        yield from (f"### {title[:1].upper()}{title[1:]}\n", *_table(found, "µs", 1e6, digits))
        others = [
            f"- {name} {what}: {count} of {told['requests']:,}"
            for name, each in found.items()
            for what, count in each.get("differences", {}).items()
        ]
        if others:
            yield from ("Other verdicts than ours:\n", *others, "")


def _validate(told: Figures) -> str:
    lines = [
        "## Validating, one core\n",
        f"{told['requests']:,} requests over all documented models and modes, on average of {told['bytes']:.0f} bytes,",
        "one in ten of them invalid. Peers get the schema of the very model and mode, chosen by hand; and the union of",
        "all. `is_valid_json` uses msgspec where the extra `fast` is installed; its verdicts are the same without.",
        "What it takes beyond decoding is the regular expression of each media value, half of which is what any call",
        "costs, and a second reading of what the typed decoder does not take, as that does not decide. Problems are",
        "remembered, as whoever makes a mistake makes it again: of one never seen the list takes twice as long.\n",
    ]
    return "\n".join([*lines, *_judges(told, 2), _machine(told)])


def _typescript(told: Figures) -> str:
    lines = [
        "## Validating in TypeScript, one core\n",
        f"{told['requests']:,} requests over all documented models and modes, on average of {told['bytes']:.0f} bytes,",
        "one in ten of them invalid, in one process of Node.js that is warm. Ajv gets the schema of the very model and",
        "mode, chosen by hand.\n",
    ]
    return "\n".join([*lines, *_judges(told, 3), _machine(told)])


def _imports(told: Figures) -> str:
    intro = "A process each, from its start to its end.\n"
    return "\n".join(["## Starting\n", intro, *_table(told["found"], "ms", 1e3, 0), _machine(told)])


def _codegen(told: Figures) -> str:
    lines = ["## Compiling\n", "A process each, cold. Peers make what they make of the same bundle.\n"]
    lines += _table(told["cold"], "s", 1, 2)
    if "growth" in told:
        lines += ["All committed targets, by the number of models:\n", *_table(told["growth"], "s", 1, 2)]
    return "\n".join([*lines, _machine(told)])


def _files(told: Figures) -> str:
    found = told["found"]
    lines = [
        "## Files\n",
        f"`prospec validate` of a file of {told['requests']:,} requests, {told['bytes'] / 1e6:,.0f} MB. The CPU time",
        "of several processes is that of all together.\n",
        *_table(found, "s", 1, 2),
        "By the clock, and the most memory that one process had:\n",
        "| | median, s | MiB |",
        "|---|--:|--:|",
    ]
    for name, each in found.items():
        largest = max(beside["largest_mib"] for beside in each["beside"])
        lines.append(f"| {name} | {statistics.median(_clock_s(found, name)):.2f} | {largest:,.0f} |")
    return "\n".join([*lines, "", _machine(told)])


def _mock(told: Figures) -> str:
    lines = [
        "## The mock\n",
        "Validated generate requests, by wrk over 16 connections. A ratio over 1: the mock answers more.\n",
        "| | a second | times | a CPU second | times | p50 ms | p99 ms |",
        "|---|--:|--:|--:|--:|--:|--:|",
    ]
    for name, each in told["posts"].items():
        median, times = each["median"], [told["mock_over"][figure][name] for figure in ("per_s", "per_cpu_s")]
        rates = f"{median['per_s']:,.0f} | {times[0]:.2f} | {median['per_cpu_s'] or 0:,.0f} | {times[1]:.2f}"
        lines.append(f"| {name} | {rates} | {median['p50_ms']:.2f} | {median['p99_ms']:.2f} |")
    if told["open"]:
        lines += ["", "By the number of generations that are open:\n", "| | a second | a CPU second |", "|---|--:|--:|"]
        for name, each in told["open"].items():
            lines.append(f"| {name} | {each['median']['per_s']:,.0f} | {each['median']['per_cpu_s'] or 0:,.0f} |")
    return "\n".join([*lines, "", _machine(told)])


def _requests(told: Figures) -> str:
    lines = [
        "## The suite, a request\n",
        "CPU time of the sender; the suite waits much of the clock's time for generations.\n",
    ]
    lines += _table(told["found"], "ms", 1e3, 2)
    for name, each in told["found"].items():
        lines.append(f"- {name}: {statistics.median(each['per_s']):,.0f} requests a second by the clock")
    return "\n".join([*lines, "", _machine(told)])


def _suite(told: Figures) -> str:
    lines = [
        "## The suite beside schemathesis\n",
        "The same faults of the mock, each judged by both; the clock's time.\n",
    ]
    lines += ["| | faults found | requests | seconds |", "|---|--:|--:|--:|"]
    for name in ("suite", "schemathesis"):
        each = [judged[name] for judged in told.values()]
        sums = [sum(one[key] for one in each) for key in ("found", "requests", "seconds")]
        lines.append(f"| {name} | {sums[0]} of {len(each)} | {sums[1]:,} | {sums[2]:,.0f} |")
    return "\n".join([*lines, ""])


GOALS: Mapping[str, Callable[[Figures], Iterator[Goal]]] = {
    "validate": _validate_goals,
    "typescript": _typescript_goals,
    "files": _files_goals,
    "imports": _imports_goals,
    "codegen": _codegen_goals,
    "mock": _mock_goals,
    "suite": _suite_goals,
}
SECTIONS: Mapping[str, Callable[[Figures], str]] = {
    "validate": _validate,
    "typescript": _typescript,
    "files": _files,
    "imports": _imports,
    "codegen": _codegen,
    "mock": _mock,
    "requests": _requests,
    "suite": _suite,
}


def main() -> None:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("figures", type=Path)
    parser.add_argument("page", type=Path)
    options = parser.parse_args()
    options.page.write_text(page(json.loads(options.figures.read_text("utf-8"))), "utf-8")


if __name__ == "__main__":
    main()
