"""Judges requests in Spark: `python judge.py requests.parquet verdicts` writes the verdict on each as Parquet.

The file, or folder of files, has a column `id`, and the requests as JSON in a column `request`, or as columns `model`,
`mode` and `params`. Every executor needs `prospec[files]` in its Python, which PYSPARK_PYTHON names. `spark-submit`
takes it to a cluster.
"""

import sys
from collections.abc import Iterable, Iterator

import pyarrow as pa
from prospec import batch
from pyspark.sql import DataFrame, SparkSession

PROBLEM = "path string, code string, severity string, evidence string, message string, hint string"
VERDICT = f"valid boolean, model string, mode string, cost_usd double, problems array<struct<{PROBLEM}>>"


def judged(requests: DataFrame) -> DataFrame:
    """The id of every request, and the verdict on it."""

    def judge(parts: Iterable[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        return (batch.judge(part, keep=["id"]) for part in parts)

    return requests.mapInArrow(judge, f"id {requests.schema['id'].dataType.simpleString()}, {VERDICT}")


def main() -> None:
    spark = SparkSession.builder.appName("prospec").getOrCreate()
    requests, verdicts = sys.argv[1:]
    judged(spark.read.parquet(requests)).write.parquet(verdicts)
    invalid = spark.read.parquet(verdicts).where("not valid")
    for row in invalid.orderBy("id").select("id").toLocalIterator():
        print(f"invalid: {row['id']}")
    spark.stop()


if __name__ == "__main__":
    main()
