"""The benchmark of growth still runs, in its shortest form, and makes its page: no figure of it is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

from machine import lacking

ROOT = Path(__file__).parents[1]
BENCH = ROOT / "tests" / "bench" / "growth.py"
PAGE = ROOT / "docs" / "scale.md"


def test_it_measures_each_engine_and_puts_the_figures_into_the_page(tmp_path: Path) -> None:
    if sys.platform != "linux" or not find_spec("ray") or not find_spec("matplotlib"):
        lacking("Ray or Matplotlib is not installed")
    figures, page = tmp_path / "growth.json", tmp_path / "scale.md"
    page.write_text(PAGE.read_text("utf-8"), "utf-8")
    command = [sys.executable, str(BENCH), "--requests", "300", "--json", str(figures), "--page", str(page)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    rows = json.loads(figures.read_text("utf-8"))["growth"]["rows"]
    assert [row["requests"] for row in rows] == [300, 300]
    local, on_ray = rows
    assert 0 < local["peak_mib"] < on_ray["peak_mib"]
    assert 0 < local["cpu_s"] < on_ray["cpu_s"]
    made = page.read_text("utf-8")
    assert "| 300 | 0 | --engine ray, --jobs 2 |" in made
    assert (tmp_path / "scale.svg").read_text("utf-8").count("<path") > 10
    # Made again of the same figures, both are the same; and what is written by hand stays.
    picture = (tmp_path / "scale.svg").read_bytes()
    again = [sys.executable, str(BENCH), "--from", str(figures), "--page", str(page)]
    subprocess.run(again, capture_output=True, timeout=120, check=True)
    assert page.read_text("utf-8") == made
    assert (tmp_path / "scale.svg").read_bytes() == picture
    marks = ("<!-- made by", "<!-- to here -->")
    for text in (made, PAGE.read_text("utf-8")):
        assert text.startswith("# Beyond one machine\n")
        assert all(text.count(mark) == 1 for mark in marks)
