"""The benchmark of files still runs, in its shortest form: no figure of it is judged here."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

BENCH = Path(__file__).parent / "bench" / "files.py"


def test_it_measures_each_in_turn_and_writes_the_figures(tmp_path: Path) -> None:
    figures = tmp_path / "new" / "bench.json"
    command = [sys.executable, str(BENCH), "--rounds", "1", "--requests", "3000", "--json", str(figures)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    told = json.loads(figures.read_text("utf-8"))["files"]
    assert told["requests"] == 3000
    assert 300 < told["bytes"] / 3000 < 500
    first, *others = told["found"]
    assert first.startswith("orjson")
    assert len(others) == 4
    for name, each in told["found"].items():
        assert name in ran.stdout
        assert each["median_s"] > 0
        (beside,) = each["beside"]
        assert beside["wall_s"] > 0
        assert beside["largest_mib"] > 5
    assert told["found"][first]["over_first"] == 1
