"""The benchmark of tests/bench still runs, in its shortest form: no figure of it is judged here, nor is Prism asked."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from machine import lacking

BENCH = Path(__file__).parent / "bench" / "mock.py"
SHORTEST = ("--without-prism", "--rounds", "1", "--seconds", "1", "--warm-up", "0", "--open", "0", "25")


def _run(*arguments: str, path: str | None = None) -> subprocess.CompletedProcess[str]:
    env = None if path is None else {"PATH": path}
    command = [sys.executable, str(BENCH), *arguments]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False, env=env)


def test_it_measures_each_in_turn_and_writes_the_figures(tmp_path: Path) -> None:
    if not shutil.which("wrk"):
        lacking("wrk is not installed")
    ran = _run(*SHORTEST, "--json", str(tmp_path / "new" / "bench.json"))
    assert ran.returncode == 0, ran.stderr
    told = json.loads((tmp_path / "new" / "bench.json").read_text("utf-8"))["mock"]
    assert [*told["posts"]] == ["prospec mock", "no judge at all"]
    assert {*told["open"]} == {f"{kind}, {count} open" for kind in ("posts", "polls") for count in (0, 25)}
    for name, each in (told["posts"] | told["open"]).items():
        assert name in ran.stdout
        assert len(each["rounds"]) == 1
        assert each["median"]["per_s"] == each["rounds"][0]["per_s"] > 0
        assert 0 < each["median"]["p50_ms"] <= each["median"]["p99_ms"]
    assert told["mock_over"]["per_s"]["prospec mock"] == told["fewest_over"]["polls"]["per_s"]["polls, 0 open"] == 1


def test_what_it_lacks_it_names(tmp_path: Path) -> None:
    ran = _run(*SHORTEST, path=str(tmp_path))
    assert ran.returncode == 1
    assert ran.stderr.startswith("bench: wrk is missing")
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("wrong", ["--rounds=0", "--seconds=0", "--warm-up=-1", "--open=-1"])
def test_a_measure_of_nothing_is_refused(wrong: str) -> None:
    ran = _run(wrong)
    assert ran.returncode == 2
    assert wrong.partition("=")[0] in ran.stderr
