"""The benchmark of the npm package still runs, in its shortest form, and so does its page: no figure is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from node import TOOLS, built, installed

BENCH = Path(__file__).parent / "bench"
SHORTEST = ("--requests", "60", "--rounds", "1", "--warm-up", "0")
OURS = {
    "from an object": {"prospo.isValid"},
    "from a text": {"JSON.parse alone", "prospo.isValidJson"},
    "from bytes": {"TextDecoder and JSON.parse alone", "prospo.isValidJson"},
    "the problems of an invalid one, from bytes": {"prospo.isValidJson", "prospo.validateJson"},
    "the problems of an invalid one, from an object": {"prospo.isValid", "prospo.validate"},
}


def _run(name: str, *arguments: str | Path) -> subprocess.CompletedProcess[str]:
    built()
    command = [sys.executable, str(BENCH / f"{name}.py"), *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)


def _figures(path: Path, *arguments: str) -> dict[str, Any]:
    ran = _run("typescript", *SHORTEST, *arguments, "--json", path)
    assert ran.returncode == 0, ran.stderr
    told: dict[str, Any] = json.loads(path.read_text("utf-8"))["typescript"]
    for found in told["found"].values():
        for name, each in found.items():
            assert name in ran.stdout
            assert each["median_s"] == each["least_s"] == each["rounds_s"][0] > 0
            assert ("differences" in each) is not name.endswith(" alone")
        assert next(iter(found.values()))["over_first"] == 1
    return told


def test_it_measures_each_in_turn_beside_ajv_and_the_page_tells_the_goals(tmp_path: Path) -> None:
    figures, page = tmp_path / "new" / "bench.json", tmp_path / "performance.md"
    told = _figures(figures)
    assert told["machine"]["ajv"] == json.loads((installed(TOOLS) / "ajv/package.json").read_text("utf-8"))["version"]
    assert {group: {name for name in found if "Ajv" not in name} for group, found in told["found"].items()} == OURS
    by_ajv = [name for found in told["found"].values() for name in found if "Ajv" in name]
    assert len(by_ajv) == 4
    for found in told["found"].values():
        for name, each in found.items():
            # Ajv is not taught the ratio of a size; all else it must see, else it is not what it is taken for.
            assert {*each.get("differences", {})} <= ({"takes what breaks size"} if "Ajv" in name else set())
    assert _run("page", figures, page).returncode == 0
    text = page.read_text("utf-8")
    assert "## Validating in TypeScript, one core" in text
    assert text.count("in TypeScript, in times of") == 3


def test_without_peers_it_measures_ours_alone(tmp_path: Path) -> None:
    told = _figures(tmp_path / "bench.json", "--without-peers")
    assert {group: {*found} for group, found in told["found"].items()} == OURS
    assert "ajv" not in told["machine"]


def test_what_it_lacks_it_names(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    for is_ci in ("", "true"):
        monkeypatch.setenv("CI", is_ci)
        command = [sys.executable, str(BENCH / "typescript.py"), *SHORTEST]
        ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
        assert ran.returncode == 1
        assert ran.stderr.startswith("bench: Node.js is not installed")
        assert "Traceback" not in ran.stderr
