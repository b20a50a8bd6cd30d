"""Judges requests in Ray Data: `python judge.py requests.parquet verdicts` writes the verdict on each as Parquet.

The file, or folder of files, has a column `id`, and the requests as JSON in a column `request`, or as columns `model`,
`mode` and `params`. It runs on the cluster of RAY_ADDRESS, else on this machine; every worker needs `prospec[ray]`. If
only the problems are of interest, `prospec validate requests --engine ray` does it without a program.
"""

import sys

import ray.data
from prospec import batch


def judged(requests: ray.data.Dataset) -> ray.data.Dataset:
    """The id of every request, and the verdict on it."""
    return requests.map_batches(batch.judge, batch_format="pyarrow", fn_kwargs={"keep": ["id"]})


def main() -> None:
    requests, verdicts = sys.argv[1:]
    judged(ray.data.read_parquet(requests)).write_parquet(verdicts)
    for row in ray.data.read_parquet(verdicts).filter(expr="not valid").sort("id").iter_rows():
        print(f"invalid: {row['id']}")


if __name__ == "__main__":
    main()
