"""The example of `prospec.batch` in Polars: run as its users run it, its verdicts are those that are known."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from collections import Counter
from importlib.util import find_spec
from pathlib import Path
from types import ModuleType

import pyarrow as pa
import pytest
from drawn import draw
from machine import lacking
from prospec import batch
from pyarrow import parquet

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "polars" / "judge.py"
BODIES = 3_000


@pytest.fixture(scope="module")
def requests(tmp_path_factory: pytest.TempPathFactory) -> Path:
    if not find_spec("polars"):
        lacking("Polars is not installed")
    file = tmp_path_factory.mktemp("polars") / "requests.parquet"
    bodies = pa.array([draw(number).data for number in range(BODIES)], pa.binary())
    parquet.write_table(pa.table({"id": range(BODIES), "request": bodies}), file, row_group_size=700)
    return file


@pytest.fixture(scope="module")
def example() -> ModuleType:
    loaded = importlib.util.spec_from_file_location("polars_example", EXAMPLE)
    assert loaded is not None
    assert loaded.loader is not None
    module = importlib.util.module_from_spec(loaded)
    loaded.loader.exec_module(module)
    return module


def test_it_prints_the_invalid_requests_and_their_problems(requests: Path) -> None:
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE), str(requests)], capture_output=True, text=True, timeout=120, check=False
    )
    assert ran.returncode == 0, ran.stderr
    told = ran.stdout.splitlines()
    invalid = [f"invalid: {number}" for number in range(BODIES) if draw(number).is_error]
    assert told[: len(invalid)] == invalid
    verdicts = batch.judge(parquet.read_table(requests)).to_pylist()
    codes = Counter(each["code"] for verdict in verdicts if not verdict["valid"] for each in verdict["problems"])
    assert told[len(invalid) :] == [
        f"{code}: {count}" for code, count in sorted(codes.items(), key=lambda each: (-each[1], each[0]))
    ]


def test_a_frame_of_columns_is_judged_row_by_row(requests: Path, example: ModuleType) -> None:
    """As Polars itself has text and structs, which is not as others have them."""
    import polars as pl

    params = [{"prompt": "x", "duration": 99}, {"prompt": "x", "duration": None}, {"prompt": None, "duration": 5}]
    frame = pl.DataFrame({"id": ["a", "b", "c"], "model": ["seedance-2-fast"] * 3, "params": params})
    judged = example.judged(frame.lazy()).collect()
    assert judged.select("id", "valid").rows() == [("a", False), ("b", True), ("c", False)]
    assert [[each["path"] for each in problems] for problems in judged["problems"].to_list()] == [
        ["/params/duration"],
        [],
        ["/params/prompt"],
    ]
    assert judged.schema == example.judged(frame.lazy()).collect_schema()
