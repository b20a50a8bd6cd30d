"""`prospec.batch`: verdicts on record batches are those of `prospec validate`, row by row, however a batch is made."""

from __future__ import annotations

import json
import pickle
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow as pa
import pytest
from drawn import PAIRS, draw
from hypothesis import given
from hypothesis import strategies as st
from prospec import batch
from prospec.columns import ColumnsError
from prospec.example import request, smallest_params
from pyarrow import parquet

BODIES = 2_000
GOOD = {"model": "seedance-2-fast", "params": {"prompt": "x"}}
BAD = {"model": "seedance-2-fast", "mode": "text", "params": {"prompt": "x", "duration": 99}}

Prospec = Callable[..., CompletedProcess[str]]


def of_bodies(bodies: list[bytes]) -> pa.RecordBatch:
    return pa.record_batch({"id": range(len(bodies)), "request": pa.array(bodies, pa.binary())})


def locally(prospec: Prospec, table: pa.Table, folder: Path) -> list[dict[str, Any]]:
    """What `prospec validate` says of the rows of a table, without the place in the file."""
    parquet.write_table(table, folder / "requests.parquet")
    ran = prospec("validate", str(folder / "requests.parquet"), "--format", "json", "--jobs", "1")
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [each.pop("line") for each in told] == list(range(1, table.num_rows + 1)), ran.stderr
    assert all(each.pop("file") for each in told)
    return told


def test_drawn_and_hostile_bodies_are_judged_as_locally(prospec: Prospec, tmp_path: Path) -> None:
    drawn = [draw(number) for number in range(BODIES)]
    rows = of_bodies([each.data for each in drawn])
    judged = batch.judge(rows)
    assert judged.to_pylist() == locally(prospec, pa.table(rows), tmp_path)
    # And as is known of them by the way they were made.
    assert judged["valid"].to_pylist() == [not each.is_error for each in drawn]


def test_requests_in_columns_are_judged_as_locally(prospec: Prospec, tmp_path: Path) -> None:
    requests = [request(model, mode, smallest_params(mode)) for model, mode in PAIRS]
    members = {name: [each.get(name) for each in requests] for name in ("model", "mode")}
    broken = [each["params"] | ({"seed": -5} if number % 2 else {}) for number, each in enumerate(requests)]
    params = [json.dumps(each) for each in broken]
    table = pa.table({**members, "params": params})
    judged = batch.judge(table).to_pylist()
    assert judged == locally(prospec, table, tmp_path)
    assert {each["valid"] for each in judged} == {True, False}
    assert [(each["model"], each["mode"]) for each in judged] == [(model.id, mode.id) for model, mode in PAIRS]


@given(st.lists(st.integers(0, 10**9).map(lambda number: draw(number).data), max_size=20), st.data())
def test_however_rows_are_cut_into_batches_each_has_its_own_verdict(bodies: list[bytes], data: st.DataObject) -> None:
    alone = [batch.judge(of_bodies([body])).to_pylist()[0] for body in bodies]
    rows = of_bodies(bodies)
    cuts = sorted(data.draw(st.lists(st.integers(0, len(bodies)), max_size=3)))
    parts = [rows.slice(start, stop - start) for start, stop in zip([0, *cuts], [*cuts, len(bodies)], strict=True)]
    assert [row for part in parts for row in batch.judge(part, keep=["id"]).to_pylist()] == [
        {"id": number, **verdict} for number, verdict in enumerate(alone)
    ]
    assert batch.judge(pa.Table.from_batches(parts, rows.schema)).to_pylist() == alone


@pytest.mark.parametrize(
    "type",
    [
        pa.string(),
        pa.large_string(),
        pa.string_view(),
        pa.binary(),
        pa.large_binary(),
        pa.binary_view(),
        pa.dictionary(pa.int32(), pa.string()),
    ],
    ids=str,
)
def test_text_of_every_arrow_type_is_taken(type: pa.DataType) -> None:
    texts = [json.dumps(each) for each in (GOOD, BAD, GOOD)] + [None]
    array = pa.array(texts, pa.string())
    array = array.dictionary_encode() if pa.types.is_dictionary(type) else array.cast(type)
    judged = batch.judge(pa.record_batch({"body": array}))
    assert judged["valid"].to_pylist() == [True, False, True, False]


def test_the_schema_is_what_comes_out_whatever_comes_in() -> None:
    schema = batch.schema()
    assert schema.names == ["valid", "model", "mode", "cost_usd", "problems"]
    for bodies in ([], [b"{"], [json.dumps(GOOD).encode()], [draw(number).data for number in range(50)]):
        rows = of_bodies(bodies)
        assert batch.judge(rows).schema == schema
        assert batch.judge(pa.Table.from_batches([rows])).schema == schema
    kept = batch.judge(rows, keep=["id"])
    assert kept.schema == pa.schema([rows.schema.field("id"), *schema])
    none = rows.schema.empty_table()
    assert batch.judge(none, keep=["id"]).schema == kept.schema


def test_nothing_is_remembered_and_nothing_changed() -> None:
    rows = of_bodies([draw(number).data for number in range(100)])
    before = rows.serialize().to_pybytes()
    first = batch.judge(rows)
    batch.judge(of_bodies([draw(number).data for number in range(500, 600)]))
    assert batch.judge(rows).equals(first)
    assert rows.serialize().to_pybytes() == before


def test_it_goes_to_another_process_as_a_name() -> None:
    assert pickle.loads(pickle.dumps(batch.judge)) is batch.judge


def test_importing_it_loads_no_arrow() -> None:
    program = "import sys, prospec.batch; sys.exit('pyarrow' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", program], check=False).returncode == 0


@pytest.mark.parametrize(
    ("columns", "options", "said"),
    [
        ({"id": [1]}, {}, "no column of requests"),
        ({"request": [1]}, {}, "the column request is int64"),
        ({"request": ["{}"]}, {"column": "nope"}, "no column 'nope'"),
        ({"request": ["{}"]}, {"keep": ["nope"]}, "no one column 'nope'"),
        ({"request": ["{}"], "model": ["x"]}, {"keep": ["model"]}, "a column 'model' of their own"),
        ({"request": ["{}"]}, {"keep": "request"}, "no one column 'r'"),
    ],
)
@pytest.mark.parametrize("make", [pa.record_batch, pa.table])
def test_columns_that_are_missing_are_said(
    make: Callable[..., Any], columns: dict[str, list[Any]], options: dict[str, Any], said: str
) -> None:
    with pytest.raises(ValueError, match=said) as raised:
        batch.judge(make(columns), **options)
    assert isinstance(raised.value, ColumnsError) or "keep" in options
