"""Judges requests in Polars: `python judge.py requests.parquet` prints the invalid ones, and the problems by code.

The file has a column `id`, and the requests as JSON in a column `request`, or as columns `model`, `mode` and `params`.
The frame is lazy: Polars reads, judges and counts a part at a time, so that the file may be larger than memory.
"""

import sys

import polars as pl
from prospec import batch

VERDICTS = pl.from_arrow(batch.schema().empty_table()).schema


def judged(requests: pl.LazyFrame) -> pl.LazyFrame:
    """The id of every request, and the verdict on it."""
    return requests.map_batches(
        lambda part: pl.from_arrow(batch.judge(part.to_arrow(), keep=["id"])),
        schema={"id": requests.collect_schema()["id"], **VERDICTS},
        streamable=True,
    )


def main() -> None:
    verdicts = judged(pl.scan_parquet(sys.argv[1]))
    invalid = verdicts.filter(~pl.col("valid"))
    problems = invalid.explode("problems").unnest("problems")
    by_code = problems.group_by("code").len("problems").sort("problems", "code", descending=[True, False])
    ids, codes = pl.collect_all([invalid.select("id").sort("id"), by_code], engine="streaming")
    for id in ids["id"]:
        print(f"invalid: {id}")
    for code, count in codes.iter_rows():
        print(f"{code}: {count}")


if __name__ == "__main__":
    main()
