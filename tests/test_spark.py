"""The example of `prospec.batch` in Spark: run as its users run it, on two cores, a verdict on every request."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
from conftest import QUIET
from drawn import draw
from machine import lacking
from prospec import batch
from pyarrow import parquet

EXAMPLE = Path(__file__).parents[1] / "docs" / "examples" / "spark" / "judge.py"
BODIES = 3_000
FILES = 6


def test_it_writes_the_verdict_on_every_request(tmp_path: Path) -> None:
    if not find_spec("pyspark"):
        lacking("Spark is not installed")
    if not shutil.which("java") and "JAVA_HOME" not in os.environ:
        lacking("Java is not installed")
    drawn = [draw(number) for number in range(BODIES)]
    rows = pa.table({"id": range(BODIES), "request": pa.array([each.data for each in drawn], pa.binary())})
    requests, verdicts = tmp_path / "requests", tmp_path / "verdicts"
    requests.mkdir()
    for part in range(FILES):
        parquet.write_table(rows.slice(part * BODIES // FILES, BODIES // FILES), requests / f"{part}.parquet")
    settings = "--master local[2] --conf spark.ui.enabled=false --conf spark.driver.memory=512m pyspark-shell"
    environment = {
        **QUIET,
        "PYSPARK_PYTHON": sys.executable,
        "PYSPARK_SUBMIT_ARGS": settings,
        "SPARK_LOCAL_IP": "127.0.0.1",
    }
    ran = subprocess.run(
        [sys.executable, str(EXAMPLE), str(requests), str(verdicts)],
        capture_output=True,
        text=True,
        env=environment,
        cwd=tmp_path,
        timeout=300,
        check=False,
    )
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "".join(f"invalid: {number}\n" for number, each in enumerate(drawn) if each.is_error)
    written = parquet.read_table(verdicts).sort_by("id")
    assert written.num_rows == BODIES
    assert written.to_pylist() == batch.judge(rows, keep=["id"]).to_pylist()
