"""The benchmarks of validating, starting, compiling and sending still run, in their shortest form; so does their page.

No figure is judged here, and no peer is installed. The machine's own figures are never in a test.
"""

from __future__ import annotations

import importlib
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from prospec.targets import OPTIONAL, TARGETS

BENCH = Path(__file__).parent / "bench"
SHORTEST = {
    "validate": ("--requests", "60", "--rounds", "1", "--without-peers"),
    "imports": ("--rounds", "1", "--without-peers"),
    "requests": ("--rounds", "1", "--only", "AUTH"),
    "codegen": ("--rounds", "1", "--without-peers", "--models", "11", "13"),
}


def _run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(BENCH / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


@pytest.fixture(scope="module")
def figures(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What all of them keep, in one file."""
    path = tmp_path_factory.mktemp("bench") / "new" / "bench.json"
    for name, arguments in SHORTEST.items():
        ran = _run(name, *arguments, "--json", path)
        assert ran.returncode == 0, ran.stderr
        assert "median" in ran.stdout
    return path


def test_each_keeps_its_figures_beside_those_of_the_others(figures: Path) -> None:
    told = json.loads(figures.read_text("utf-8"))
    assert told.keys() == SHORTEST.keys()
    groups = [*told["validate"]["found"].values(), told["imports"]["found"], told["requests"]["found"]]
    groups += [told["codegen"]["cold"], told["codegen"]["growth"]]
    for group in groups:
        for each in group.values():
            assert each["median_s"] == each["least_s"] == each["rounds_s"][0] > 0
        assert next(iter(group.values()))["over_first"] == 1
    assert {f"prospec codegen {name}" for name in (*TARGETS, *OPTIONAL)} < told["codegen"]["cold"].keys()
    assert [*told["codegen"]["growth"]] == ["11 models", "13 models"]


def test_our_own_verdicts_are_the_right_ones_on_all_that_is_drawn(figures: Path) -> None:
    found = json.loads(figures.read_text("utf-8"))["validate"]["found"]
    ours = {name: each for group in found.values() for name, each in group.items() if "differences" in each}
    assert [*ours] == [
        "prospo.is_valid",
        "prospo.is_valid_json",
        "prospo.is_valid_json, standard library alone",
    ]
    assert not any(each["differences"] for each in ours.values())


def test_the_page_has_every_measure_and_the_goals(figures: Path, tmp_path: Path) -> None:
    page = tmp_path / "performance.md"
    ran = _run("page", figures, page)
    assert ran.returncode == 0, ran.stderr
    text = page.read_text("utf-8")
    for part in (
        "## Goals",
        "## Validating, one core",
        "## Starting",
        "## Compiling",
        "## The suite, a request",
        "| 13 models |",
    ):
        assert part in text
    assert "prospo.is_valid_json, standard library alone" in text


def _file(cpu_s: float, *wall_s: float) -> dict[str, Any]:
    return {"rounds_s": [cpu_s] * len(wall_s), "beside": [{"wall_s": each} for each in wall_s]}


PARSING, ONE, TWO = "orjson.loads of each line, no more", "prospec validate --jobs 1", "prospec validate --jobs 2"
GOALS = {
    "files": (
        {"found": {PARSING: _file(2, 2, 2), ONE: _file(5.5, 6, 6), TWO: _file(6, 3, 4)}},
        [
            f"| `{ONE}` of a file, in times of orjson's parsing of its lines | 2.75 | at most 2.5 "
            "| no, 1.10 times the limit |",
            f"| `{TWO}`, times as fast as one, by the clock | 1.75 | at least 1.7 | yes |",
        ],
    ),
    "files, of which some were not run": ({"found": {ONE: _file(5.5, 6)}}, []),
    "mock": (
        {"mock_over": {"per_s": {"prospec mock": 1, "Prism 5.16.0": 3, "no judge at all": 0.5}}},
        [
            "| validated posts a second of the mock, in times of Prism 5.16.0 | 3.00 | at least 4 "
            "| no, 0.75 times the limit |"
        ],
    ),
    "mock, without Prism": ({"mock_over": {"per_s": {"prospec mock": 1, "no judge at all": 0.5}}}, []),
    "suite": (
        {id: {"suite": {"seconds": seconds}} for id, seconds in (("A", 90), ("B", 30), ("C", 60))},
        ["| the whole suite on the embedded mock, which has a fault, s by the clock | 60.00 | at most 60 | yes |"],
    ),
}
"""What is measured -> the figures that it keeps, and what the page says of its goals."""


@pytest.mark.parametrize("name", GOALS)
def test_a_goal_is_told_by_the_figures_that_there_are(monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    monkeypatch.syspath_prepend(BENCH)
    page = importlib.import_module("page")
    figures, lines = GOALS[name]
    assert [goal.line for goal in page.GOALS[name.partition(",")[0]](figures)] == lines


def test_the_committed_page_is_of_this_form() -> None:
    text = (BENCH.parents[1] / "docs/performance.md").read_text("utf-8")
    assert text.startswith("# Performance\n\nMade by `make bench`")
