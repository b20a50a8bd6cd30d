"""The benchmark of the suite beside schemathesis still runs, in its shortest form: no figure of it is judged here."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest
from prospec.ir import Spec
from prospec_conformance.mock import FAULTS

BENCH = Path(__file__).parent / "bench" / "suite.py"


def test_the_sample_is_spread_over_all_areas(spec: Spec, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(BENCH.parent)
    loaded = importlib.util.spec_from_file_location("bench_suite", BENCH)
    assert loaded is not None
    assert loaded.loader is not None
    bench = importlib.util.module_from_spec(loaded)
    sys.modules[loaded.name] = bench
    loaded.loader.exec_module(bench)
    chosen = bench.sample(spec, 40)
    assert len(set(chosen)) == 40
    counts = Counter(spec.requirement(FAULTS[id].requirement).area for id in chosen)
    assert counts.keys() == {each.area for each in spec.requirements}
    assert max(counts.values()) - min(counts.values()) <= 1


def test_it_judges_a_fault_by_both_and_writes_the_figures(tmp_path: Path) -> None:
    figures = tmp_path / "new" / "bench.json"
    command = [sys.executable, str(BENCH), "--faults", "1", "--examples", "1", "--json", str(figures)]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=300, check=False)
    assert ran.returncode == 0, ran.stderr
    (told,) = json.loads(figures.read_text("utf-8"))["suite"].values()
    assert told.keys() == {"suite", "schemathesis"}
    assert told["suite"]["found"] is True
    assert all(each["requests"] > 0 and each["seconds"] > 0 for each in told.values())
    assert "in all" in ran.stdout
