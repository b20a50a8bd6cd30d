"""`prospec validate --engine ray`: the pieces of datasets, judged by the processes of a Ray cluster, by Ray Data.

A task reads its pieces and judges them; back come counts, and the verdicts that there is something to say of. A task
whose process or node dies is done again, and what arrives is checked to be everything, once and in order. Here live no
rule about requests and no form in which verdicts are printed. Needs Ray, by the extra `ray`.
"""

from __future__ import annotations

import logging
import os
import signal
import socket
import sys
import threading
from collections.abc import Callable, Generator, Iterator, Mapping, Sequence
from contextlib import closing, contextmanager, redirect_stdout, suppress
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from importlib import import_module
from queue import SimpleQueue
from typing import TYPE_CHECKING, Any, NoReturn, TextIO, cast

from prospo import Problem
from prospo.jsontext import MAX_BYTES
from prospo.price import UNKNOWN

from . import __version__, batch
from .chunks import Unreadable
from .exits import INTERNAL, NOTHING_RAN, USAGE, StoppedError
from .inputs import STDIN, Meter
from .judging import Verdict, judge
from .terminal import plain, say

if TYPE_CHECKING:
    import pyarrow as pa

    from .pieces import Piece

WAIT_S = 10
"""How long a cluster may take to accept a connection."""
LONGEST_START_S = 60
"""How long an interrupt waits for the start of a cluster that it cannot end before."""
OBJECT_STORE_BYTES = 200 << 20
"""Of a cluster that is started for one run. What is on its way there is little."""


@dataclass(frozen=True, slots=True)
class Report:
    """What was found in a part of a piece."""

    passed: int
    """Requests of which there is nothing to say."""
    verdicts: Sequence[Verdict]
    unreadable: Unreadable | None = None


def check(datasets: Sequence[str], address: str | None) -> None:
    """Whether there is all that is needed. Raises StoppedError."""
    if STDIN in datasets:
        raise StoppedError("--engine ray reads files, folders and URLs, not stdin", USAGE)
    # Else Ray would connect again, on its own, from a thread that an interrupt has left behind.
    os.environ["RAY_ENABLE_AUTO_CONNECT"] = "0"
    try:
        for name in ("fsspec", "pyarrow", "ray.data"):
            import_module(name)
    except ModuleNotFoundError as error:
        raise StoppedError(f"--engine ray needs {error.name}: pip install 'prospec[ray]'", USAGE) from None
    _reach(_address(address))


def reports(
    datasets: Sequence[str],
    meter: Meter,
    *,
    blemished_only: bool,
    column: str | None = None,
    address: str | None = None,
    jobs: int | None = None,
) -> Generator[Report, None, None]:
    """What is found in files, folders and patterns, local or by URL, in their order. Raises StoppedError.

    Without an address, here or in RAY_ADDRESS, a cluster of this machine is started, and stopped in the end. `jobs` is
    the most tasks at a time.
    """
    from .pieces import Piece, groups, pieces

    skipped: list[str] = []
    listed = pieces(datasets, skipped)
    if skipped:
        say(f"passed over, as no requests by their names: {_some(skipped)}", "yellow")
    todo = [each for each in listed if isinstance(each, Piece)]
    meter.total = sum(piece.size for piece in todo)
    how = {"column": column, "blemished_only": blemished_only}
    with closing(_rows(groups(todo), how, address, jobs) if todo else _nothing()) as arriving:
        index = before = 0
        for each in listed:
            if isinstance(each, Unreadable):
                yield Report(0, (), each)
                continue
            before = before if each.start else 0
            for row in arriving:
                if row["index"] != index:
                    _lost(index)
                if row["ended"] is not None:
                    before += row["ended"]
                    break
                yield _report(row, each, before)
            else:
                _lost(index)
            index += 1
            meter.done += each.size
        if next(arriving, None) is not None:
            _lost(index)


def _nothing() -> Generator[Mapping[str, Any], None, None]:
    yield from ()


def _lost(index: int) -> NoReturn:
    raise StoppedError(f"what Ray gave for piece {index} is not all, once and in order; please report it", INTERNAL)


def _some(names: Sequence[str]) -> str:
    more = f" and {len(names) - 3:,} more" if len(names) > 3 else ""
    return plain(", ".join(names[:3])) + more


# The tasks


def _judged(
    pieces: pa.Table, *, column: str | None, blemished_only: bool, version: str = __version__
) -> Iterator[pa.Table]:
    """For each piece a row a chunk, and one that ends it. Its lines and rows are numbered from its own start."""
    from .pieces import Ends, Piece, read

    if version != __version__:
        raise RuntimeError(f"prospec is {version} where the command runs and {__version__} on the cluster")
    for row in pieces.to_pylist():
        index = row.pop("index")
        ends, rows = Ends(), 0
        for chunk in read(Piece(**row), ends, max_bytes=MAX_BYTES, column=column):
            passed, found = judge(chunk, blemished_only=blemished_only)
            verdicts = list(found)
            rows += passed + len(verdicts)
            unreadable = {"reason": chunk.reason, "line": chunk.line} if isinstance(chunk, Unreadable) else None
            yield _row(index=index, passed=passed, verdicts=verdicts, unreadable=unreadable)
        # In rows of a table no line ends.
        yield _row(index=index, ended=ends.count or rows)


def _row(
    *,
    index: int,
    passed: int = 0,
    verdicts: Sequence[Verdict] = (),
    unreadable: Mapping[str, Any] | None = None,
    ended: int | None = None,
) -> pa.Table:
    import pyarrow as pa

    judged = batch.encode(verdicts)
    lines = pa.array([verdict.line for verdict in verdicts], pa.int64())
    found = pa.StructArray.from_arrays([lines, *judged.columns], fields=[*_schema().field("found").type.value_type])
    arrays = [
        pa.array([index], pa.int64()),
        pa.array([passed], pa.int64()),
        pa.ListArray.from_arrays(pa.array([0, len(verdicts)], pa.int32()), found, type=_schema().field("found").type),
        pa.array([unreadable], _schema().field("unreadable").type),
        pa.array([ended], pa.int64()),
    ]
    return pa.Table.from_arrays(arrays, schema=_schema())


@cache
def _schema() -> pa.Schema:
    """Of what comes back."""
    import pyarrow as pa

    verdict = pa.struct([pa.field("line", pa.int64()), *batch.schema()])
    return pa.schema(
        [
            ("index", pa.int64()),
            ("passed", pa.int64()),
            ("found", pa.list_(verdict)),
            ("unreadable", pa.struct([("reason", pa.string()), ("line", pa.int64())])),
            ("ended", pa.int64()),
        ]
    )


def _report(row: Mapping[str, Any], piece: Piece, before: int) -> Report:
    unreadable = None
    if told := row["unreadable"]:
        line = None if told["line"] is None else before + told["line"]
        unreadable = Unreadable(piece.file, told["reason"], line)
    return Report(row["passed"], [_verdict(found, piece.file, before) for found in row["found"]], unreadable)


def _verdict(found: Mapping[str, Any], file: str, before: int) -> Verdict:
    cost = found["cost_usd"]
    return Verdict(
        file=file,
        line=before + found["line"],
        model=found["model"],
        mode=found["mode"],
        problems=tuple(Problem(**problem) for problem in found["problems"]),
        quote=None if cost is None else replace(UNKNOWN, usd=Decimal(repr(cost)), notes=()),
    )


# Ray


class _OfThisThread:
    """stdout, for the thread that made it: Ray prints from others, as when a worker dies, and that goes to stderr."""

    def __init__(self, ours: TextIO) -> None:
        self._ours = ours
        self._thread = threading.get_ident()

    def write(self, text: str) -> int:
        return (self._ours if threading.get_ident() == self._thread else sys.stderr).write(text)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._ours, name)


class _Apart:
    """A thread to call Ray from. Signals go to the main one, and so nothing of Ray is interrupted while it has a lock,
    nor does Ray take the signals over.
    """

    def __init__(self) -> None:
        self._asked: SimpleQueue[Callable[[], Any]] = SimpleQueue()
        self._answers: SimpleQueue[tuple[Any, BaseException | None]] = SimpleQueue()
        self._is_asked = False
        threading.Thread(target=self._work, daemon=True).start()

    def call(self, function: Callable[[], Any]) -> Any:
        self._is_asked = True
        self._asked.put(function)
        return self._answer(None)

    def settle(self) -> None:
        """Wait for what an interrupt has left."""
        if self._is_asked:
            with suppress(Exception):
                self._answer(LONGEST_START_S)

    def _answer(self, timeout_s: float | None) -> Any:
        value, error = self._answers.get(timeout=timeout_s)
        self._is_asked = False
        if error:
            raise error
        return value

    def _work(self) -> None:
        while True:
            function = self._asked.get()
            try:
                self._answers.put((function(), None))
            except BaseException as error:
                self._answers.put((None, error))


@contextmanager
def _cluster(address: str | None, jobs: int | None) -> Iterator[_Apart]:
    """Connected to a cluster, or to one that was started for this. Of what Ray has to say, stdout gets nothing."""
    import ray

    address = _address(address)
    started_here: dict[str, Any] = {"num_cpus": jobs, "object_store_memory": OBJECT_STORE_BYTES}
    os.environ.setdefault("RAY_COLOR_PREFIX", "0")

    def connect() -> None:
        ray.init(
            address,
            include_dashboard=False if address == "local" else None,
            log_to_driver=False,
            logging_level=logging.ERROR,
            **(started_here if address == "local" else {}),
        )

    apart = _Apart()
    with redirect_stdout(cast(TextIO, _OfThisThread(sys.stdout))):
        try:
            try:
                apart.call(connect)
            except (ConnectionError, RuntimeError, ValueError) as error:
                raise StoppedError(f"no Ray cluster at {plain(address)}: {_first_line(error)}", NOTHING_RAN) from None
            except KeyboardInterrupt:
                apart.settle()
                raise
            # Ray has put a handler of its own before the one that is in force, which would print where it was.
            signal.signal(signal.SIGTERM, signal.getsignal(signal.SIGTERM))
            yield apart
        finally:
            # Whatever is still under way fails now, and is no news.
            logging.getLogger("ray").setLevel(logging.CRITICAL)
            logging.getLogger("ray.data").setLevel(logging.CRITICAL)
            ray.shutdown()


def _address(address: str | None) -> str:
    return address or os.environ.get("RAY_ADDRESS") or "local"


def _reach(address: str) -> None:
    """Whether anything is there: Ray itself would try for minutes. Raises StoppedError."""
    if address in ("local", "auto"):
        return
    host, mark, port = address.rpartition(":")
    if "://" in address or not mark or not port.isdigit():
        said = f"--address takes the host:port of a cluster, as `ray start --head` prints it; got {plain(address)}"
        raise StoppedError(said, USAGE)
    try:
        socket.create_connection((host.strip("[]"), int(port)), WAIT_S).close()
    except OSError as error:
        raise StoppedError(f"no Ray cluster at {plain(address)}: {error.strerror or error}", NOTHING_RAN) from None


def _rows(
    tasks: Iterator[Sequence[Piece]], how: Mapping[str, Any], address: str | None, jobs: int | None
) -> Generator[Mapping[str, Any], None, None]:
    """What the tasks give, in order."""
    import pyarrow as pa
    from ray.exceptions import RayError

    number = 0
    tables = []
    for pieces in tasks:
        numbered = enumerate(pieces, number)
        number += len(pieces)
        tables.append(pa.Table.from_pylist([_task(index, piece) for index, piece in numbered], _task_schema()))
    with _cluster(address, jobs) as apart:
        try:
            arriving = apart.call(lambda: _given(tables, how, jobs))
            while (table := apart.call(lambda: next(arriving, None))) is not None:
                yield from table.to_pylist()
        except RayError as error:
            raise StoppedError(f"the Ray cluster failed: {_first_line(error)}", NOTHING_RAN) from None


def _given(tables: Sequence[pa.Table], how: Mapping[str, Any], jobs: int | None) -> Iterator[pa.Table]:
    import ray.data

    context = ray.data.DataContext.get_current()
    context.enable_progress_bars = False
    context.print_on_execution_start = False
    context.execution_options.preserve_order = True
    logging.getLogger("ray.data").setLevel(logging.ERROR)
    judged: Any = _judged
    found = ray.data.from_arrow(list(tables)).map_batches(
        judged,
        batch_size=None,
        batch_format="pyarrow",
        fn_kwargs=dict(how),
        compute=ray.data.TaskPoolStrategy(size=jobs and min(jobs, len(tables))),
    )
    return iter(found.iter_batches(batch_size=None, batch_format="pyarrow"))


def _task(index: int, piece: Piece) -> dict[str, Any]:
    names = _task_schema().names[1:]
    return {"index": index, **{name: getattr(piece, name) for name in names}}


@cache
def _task_schema() -> pa.Schema:
    import pyarrow as pa

    text, count = pa.string(), pa.int64()
    return pa.schema(
        [("index", count), ("file", text), ("url", text), ("size", count), ("start", count), ("stop", count)]
    )


def _first_line(error: BaseException) -> str:
    cause = error.__cause__ or error
    return plain(str(cause).strip().partition("\n")[0])
