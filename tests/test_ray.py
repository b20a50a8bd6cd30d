"""`prospec validate --engine ray` on a real Ray cluster of two nodes: the same findings as locally, come what may."""

from __future__ import annotations

import gzip
import json
import os
import re
import secrets
import signal
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from subprocess import CompletedProcess

import pyarrow as pa
import pytest
from conftest import QUIET
from drawn import draw
from machine import lacking
from pyarrow import feather, parquet

ROOT = Path(__file__).parents[1]
EXAMPLE = ROOT / "docs" / "examples" / "ray" / "judge.py"
LONGEST_S = 240
GOOD = {"model": "seedance-2-fast", "params": {"prompt": "x"}}
BAD = {"model": "seedance-2-fast", "mode": "text", "params": {"prompt": "x", "duration": 99}}

Prospec = Callable[..., CompletedProcess[str]]


@dataclass(frozen=True)
class Cluster:
    address: str
    raylets: list[int]
    env: dict[str, str]
    """Of whoever connects to it."""

    def workers(self, task: str, node: int) -> list[int]:
        """The processes of a node that are at a task of that name."""
        raylet = self.raylets[node]
        return [pid for pid, parent in children() if parent == raylet and title(pid).startswith(f"ray::{task}")]


def children() -> Iterator[tuple[int, int]]:
    """Every process with its parent."""
    for folder in Path("/proc").iterdir():
        with suppress(OSError, ValueError):
            yield int(folder.name), int((folder / "stat").read_text().rpartition(")")[2].split()[1])


def title(pid: int) -> str:
    with suppress(OSError):
        return Path(f"/proc/{pid}/cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
    return ""


@contextmanager
def running() -> Iterator[Cluster]:
    if sys.platform != "linux" or not find_spec("ray"):
        lacking("Ray is not installed")
    # What listens, listens to whoever has the token.
    auth = {"RAY_AUTH_MODE": "token", "RAY_AUTH_TOKEN": secrets.token_hex(32)}
    env = {**QUIET, **auth, "RAY_USAGE_STATS_ENABLED": "0", "RAY_ADDRESS": ""}
    command = [sys.executable, str(ROOT / "tests" / "ray_cluster.py")]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=env, text=True
    ) as process:
        assert process.stdin
        assert process.stdout
        assert process.stderr
        said: list[str] = []
        listening = threading.Thread(target=said.extend, args=(process.stderr,), daemon=True)
        listening.start()
        first = process.stdout.readline()
        assert first, "".join(said)
        try:
            yield Cluster(**json.loads(first), env=env)
        finally:
            process.stdin.close()
            process.wait(60)


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    with running() as started:
        yield started


def run(cluster: Cluster, *command: str, **env: str) -> CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *command],
        capture_output=True,
        text=True,
        env={**cluster.env, **env},
        timeout=LONGEST_S,
        check=False,
    )


def lines(first: int, count: int) -> bytes:
    """Drawn bodies, those without a line break, and a blank line now and then."""
    bodies = (draw(number).data for number in range(first, first + count))
    return b"".join(body + (b"\r\n\n" if len(body) % 5 == 0 else b"\n") for body in bodies if b"\n" not in body)


@pytest.fixture(scope="module")
def dataset(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a file of each kind, all but one of them readable."""
    folder = tmp_path_factory.mktemp("dataset")
    (folder / "deep").mkdir()
    bodies = pa.array([draw(number).data for number in range(3000, 3300)], pa.binary())
    (folder / "a.ndjson").write_bytes(b"\xef\xbb\xbf" + lines(0, 600) + b"x" * (1 << 21) + b"\n" + lines(600, 100))
    (folder / "b.jsonl.gz").write_bytes(gzip.compress(lines(1000, 300)))
    (folder / "c.ndjson.gz").write_bytes(gzip.compress(lines(2000, 3000))[:-2000])
    parquet.write_table(pa.table({"request": bodies}), folder / "deep" / "d.parquet", row_group_size=100)
    feather.write_feather(
        pa.table({"model": ["nope", "kling-o3"], "params": ["{}", '{"prompt": "x"}']}), folder / "e.arrow"
    )
    (folder / "f.json").write_text(json.dumps([GOOD, BAD, 5]))
    (folder / "g.ndjson").write_bytes(b"")
    return folder


def remarks(stderr: str) -> list[str]:
    """What is said but for the progress, which a fast machine does not see."""
    return [line for line in stderr.splitlines() if "/s, " not in line]


@pytest.mark.parametrize("format", ["json", "text", "github"])
def test_a_folder_is_judged_as_its_files_are_locally(
    cluster: Cluster, dataset: Path, prospec_process: Prospec, tmp_path: Path, format: str
) -> None:
    files = sorted(str(path) for path in dataset.rglob("*.*"))
    there, here = tmp_path / "there.json", tmp_path / "here.json"
    on_ray = ["validate", str(dataset), "nope.ndjson", "--engine", "ray", "--address", cluster.address]
    ran = run(cluster, "-m", "prospec", *on_ray, "--format", format, "--summary", str(there))
    locally = prospec_process("validate", *files, "nope.ndjson", "--format", format, "--summary", str(here))
    assert ran.stdout == locally.stdout
    assert (ran.returncode, remarks(ran.stderr)) == (locally.returncode, remarks(locally.stderr))
    assert json.loads(there.read_text()) == json.loads(here.read_text())
    assert ran.returncode == 2
    assert "c.ndjson.gz: cannot be read from line" in ran.stderr


DRIVER = """
import json, sys
from prospec import cluster, pieces
from prospec.inputs import Meter

file, address, piece_bytes = sys.argv[1:]
cut = pieces.pieces
pieces.pieces = lambda datasets, skipped: cut(datasets, skipped, piece_bytes=int(piece_bytes))
group = pieces.groups
pieces.groups = lambda found: group(found, piece_bytes=int(piece_bytes))
meter = Meter()
for report in cluster.reports([file], meter, blemished_only=False, address=address):
    for verdict in report.verdicts:
        print(verdict.line, verdict.valid, verdict.model)
    print("done", meter.done, meter.total, flush=True)
"""
"""Prints every verdict as it comes. The pieces are small, so that there are many and each is soon done."""
LINES, PIECES = 40_000, 150


def test_nothing_is_lost_or_doubled_when_a_worker_and_then_a_node_are_killed(tmp_path: Path) -> None:
    file = tmp_path / "requests.ndjson"
    models = ["seedance-2-fast", "nope"]
    file.write_bytes(
        b"".join(
            json.dumps({"model": models[number % 2], "params": {"prompt": f"{number}"}}).encode() + b"\n"
            for number in range(LINES)
        )
    )
    piece_bytes = file.stat().st_size // PIECES
    with running() as cluster:
        command = [sys.executable, "-c", DRIVER, str(file), cluster.address, str(piece_bytes)]
        with (
            (tmp_path / "said").open("w") as said,
            subprocess.Popen(command, env=cluster.env, stdout=subprocess.PIPE, stderr=said, text=True) as driver,
        ):
            assert driver.stdout
            killed: list[bool] = []
            found: Counter[tuple[str, ...]] = Counter()
            steps = 0
            for line in driver.stdout:
                if line.startswith("done"):
                    steps += 1
                    if steps == 5:
                        killed.append(kill_at_work(cluster, 0, whole_node=False))
                    if steps == 15:
                        killed.append(kill_at_work(cluster, 1, whole_node=True))
                else:
                    found[tuple(line.split())] += 1
            assert driver.wait(60) == 0, (tmp_path / "said").read_text()
    assert killed == [True, True]
    assert set(found.values()) == {1}
    assert found.keys() == {(f"{n + 1}", str(n % 2 == 0), models[n % 2]) for n in range(LINES)}


def kill_at_work(cluster: Cluster, node: int, *, whole_node: bool) -> bool:
    """End a process that is at a task, or the whole node on which it is."""
    for _ in range(3000):
        for worker in cluster.workers("MapBatches", node):
            with suppress(ProcessLookupError):
                os.kill(cluster.raylets[node] if whole_node else worker, signal.SIGKILL)
                return True
        time.sleep(0.01)
    return False


def test_an_interrupted_run_says_so_and_leaves_no_task_behind(cluster: Cluster, tmp_path: Path) -> None:
    (tmp_path / "requests.ndjson").write_bytes(lines(0, 2000) * 60)
    arguments = ("validate", str(tmp_path), "--engine", "ray", "--address", cluster.address)
    with (
        (tmp_path / "said").open("w+") as said,
        subprocess.Popen([sys.executable, "-m", "prospec", *arguments], env=cluster.env, stderr=said) as running,
    ):
        until(lambda: at_work(cluster))
        running.send_signal(signal.SIGTERM)
        assert running.wait(60) == 3
        said.seek(0)
        assert re.fullmatch(r"interrupted; so far [0-9,]+ requests, [0-9,]+ invalid.*", remarks(said.read())[-1])
    until(lambda: not at_work(cluster))


def at_work(cluster: Cluster) -> bool:
    return any(cluster.workers("MapBatches", node) for node in range(len(cluster.raylets)))


def until(holds: Callable[[], bool]) -> None:
    for _ in range(6000):
        if holds():
            return
        time.sleep(0.01)
    pytest.fail("it did not come to that in a minute")


def test_the_example_writes_a_verdict_on_every_request(cluster: Cluster, tmp_path: Path) -> None:
    drawn = [draw(number) for number in range(1000)]
    rows = pa.table({"id": range(1000), "request": pa.array([each.data for each in drawn], pa.binary())})
    (tmp_path / "requests").mkdir()
    for part in range(4):
        parquet.write_table(rows.slice(part * 250, 250), tmp_path / "requests" / f"{part}.parquet")
    arguments = (str(tmp_path / "requests"), str(tmp_path / "verdicts"))
    ran = run(cluster, str(EXAMPLE), *arguments, RAY_ADDRESS=cluster.address)
    assert ran.returncode == 0, ran.stderr
    assert ran.stdout == "".join(f"invalid: {number}\n" for number, each in enumerate(drawn) if each.is_error)
    verdicts = parquet.read_table(tmp_path / "verdicts").sort_by("id")
    assert verdicts["id"].to_pylist() == list(range(1000))
    assert verdicts["valid"].to_pylist() == [not each.is_error for each in drawn]


# An object store


@contextmanager
def object_store() -> Iterator[dict[str, str]]:
    """A store that speaks S3's protocol, on loopback; gives the environment of its users."""
    if not find_spec("moto") or not find_spec("s3fs"):
        lacking("moto or s3fs is not installed")
    from moto.server import ThreadedMotoServer

    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    names = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "s3cret", "AWS_DEFAULT_REGION": "us-east-1"}
    try:
        yield {**names, "AWS_ENDPOINT_URL": f"http://{host}:{port}"}
    finally:
        server.stop()


def test_an_object_store_is_read_and_without_an_address_a_cluster_started(tmp_path: Path) -> None:
    if not find_spec("ray"):
        lacking("Ray is not installed")
    with object_store() as env:
        fill = "import s3fs; s3 = s3fs.S3FileSystem(); s3.mkdir('bucket'); s3.put(r'{}', 'bucket/in', recursive=True)"
        (tmp_path / "in" / "deep").mkdir(parents=True)
        (tmp_path / "in" / "a.ndjson").write_text(f"{json.dumps(GOOD)}\n\n{json.dumps(BAD)}\n")
        (tmp_path / "in" / "deep" / "b.ndjson.gz").write_bytes(gzip.compress(json.dumps(BAD).encode()))
        (tmp_path / "in" / "notes.txt").write_text("x")
        everything = {**QUIET, **env, "RAY_ADDRESS": ""}
        subprocess.run([sys.executable, "-c", fill.format(tmp_path / "in")], env=everything, check=True)
        command = ["-m", "prospec", "validate", "s3://bucket/in", "s3://none/in", "--engine", "ray", "--format", "json"]
        ran = subprocess.run(
            [sys.executable, *command, "--jobs", "1"],
            env=everything,
            capture_output=True,
            text=True,
            timeout=LONGEST_S,
            check=False,
        )
    told = [json.loads(line) for line in ran.stdout.splitlines()]
    assert [(each["file"], each["line"], each["valid"]) for each in told] == [
        ("s3://bucket/in/a.ndjson", 1, True),
        ("s3://bucket/in/a.ndjson", 3, False),
        ("s3://bucket/in/deep/b.ndjson.gz", 1, False),
    ]
    assert ran.returncode == 2
    assert remarks(ran.stderr) == [
        "passed over, as no requests by their names: s3://bucket/in/notes.txt",
        "s3://none/in: cannot be read: No such file or directory",
        "3 requests, 2 invalid",
    ]


# Without a cluster


REFUSED: dict[str, tuple[tuple[str, ...], int, str]] = {
    "stdin": (("--engine", "ray"), 2, "not stdin"),
    "stdin by its name": (("-", "--engine", "ray"), 2, "not stdin"),
    "an address without an engine": (("a.ndjson", "--address", "127.0.0.1:1"), 2, "--address takes --engine ray"),
    "no address": (("a.ndjson", "--engine", "ray", "--address", "nope"), 2, "host:port"),
    "a client's address": (("a.ndjson", "--engine", "ray", "--address", "ray://127.0.0.1:1"), 2, "host:port"),
    "nobody there": (("a.ndjson", "--engine", "ray", "--address", "127.0.0.1:9"), 3, "no Ray cluster at 127.0.0.1:9"),
    "another engine": (("a.ndjson", "--engine", "spark"), 2, "engine"),
}


@pytest.mark.parametrize("name", REFUSED)
def test_what_cannot_be_done_is_said_at_once(prospec: Prospec, name: str) -> None:
    arguments, code, said = REFUSED[name]
    ran = prospec("validate", *arguments)
    assert (ran.returncode, ran.stdout) == (code, "")
    assert said in ran.stderr
    assert "Traceback" not in ran.stderr


@pytest.mark.parametrize("missing", ["ray", "fsspec", "pyarrow"])
def test_without_the_extra_it_says_which_one_to_install(missing: str) -> None:
    program = (
        f"import sys; sys.modules[{missing!r}] = None; from prospec.cli import main; "
        "sys.exit(main(['validate', 'a.ndjson', '--engine', 'ray']))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "pip install 'prospec[ray]'" in ran.stderr
    assert "Traceback" not in ran.stderr
