"""Requests in batches of Arrow, judged where they are: in Spark, Polars, Ray, or whatever else passes Arrow around.

A batch goes in, verdicts come out, a row a request, in the same order. Nothing is read, written or remembered, so that
`judge` may run anywhere, often, and again. Here live no rule about requests and no I/O. Needs pyarrow, by the extra
`files`.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import fields
from functools import cache
from typing import TYPE_CHECKING

from prospo import Problem

from . import columns as requests_in
from .judging import Verdict, verdict

if TYPE_CHECKING:
    import pyarrow as pa

_PROBLEM = tuple(field.name for field in fields(Problem))


@cache
def schema() -> pa.Schema:
    """The columns of verdicts, as `prospec validate --format json` has them, without the place in a file.

    `cost_usd` is in USD, and null where the request would be refused or no one price is published.
    """
    import pyarrow as pa

    problem = pa.struct([pa.field(name, pa.string(), nullable=name == "hint") for name in _PROBLEM])
    return pa.schema(
        [
            pa.field("valid", pa.bool_(), nullable=False),
            pa.field("model", pa.string()),
            pa.field("mode", pa.string()),
            pa.field("cost_usd", pa.float64()),
            pa.field("problems", pa.list_(pa.field("item", problem, nullable=False)), nullable=False),
        ]
    )


def judge(
    batch: pa.RecordBatch | pa.Table, *, column: str | None = None, keep: Sequence[str] = ()
) -> pa.RecordBatch | pa.Table:
    """The verdict on every row, after those of its columns that `keep` names: a batch of a batch, a table of a table.

    The requests are in the column of that name, else where `prospec validate` finds them: in `request`, `body` or
    `json`, as JSON text, bytes or a struct, or a member a column in `model`, `mode` and `params`. Raises ColumnsError
    (a ValueError) where there is none, and ValueError for a column that cannot be kept.
    """
    import pyarrow as pa

    found = requests_in.find(batch.schema, column)
    kept = _kept(batch.schema, keep)
    whole = pa.schema([*kept, *schema()])

    def judged(part: pa.RecordBatch) -> pa.RecordBatch:
        verdicts = encode(verdict("", row, each) for row, each in enumerate(requests_in.requests(part, found)))
        arrays = [part.column(part.schema.get_field_index(field.name)) for field in kept]
        return pa.RecordBatch.from_arrays(arrays + verdicts.columns, schema=whole)

    if isinstance(batch, pa.RecordBatch):
        return judged(batch)
    return pa.Table.from_batches(map(judged, batch.to_batches()), whole)


def encode(verdicts: Iterable[Verdict]) -> pa.RecordBatch:
    """Verdicts as rows, without their places."""
    import pyarrow as pa

    judged = list(verdicts)
    rows = {
        "valid": [each.valid for each in judged],
        "model": [each.model for each in judged],
        "mode": [each.mode for each in judged],
        "cost_usd": [each.cost_usd for each in judged],
        "problems": [[{name: getattr(each, name) for name in _PROBLEM} for each in one.problems] for one in judged],
    }
    return pa.RecordBatch.from_pydict(rows, schema=schema())


def _kept(of: pa.Schema, names: Sequence[str]) -> list[pa.Field]:
    for name in names:
        if name in schema().names:
            raise ValueError(f"keep: verdicts have a column {name!r} of their own; rename it first")
        if len(of.get_all_field_indices(name)) != 1:
            raise ValueError(f"keep: no one column {name!r}; there are {', '.join(of.names) or 'none'}")
    return [of.field(name) for name in names]
