"""Opens what a user names and says what is in it: plain or compressed, lines, a document or a table.

What a file begins with decides, then its name. Here lives no rule about requests and no way to judge them.
"""

from __future__ import annotations

import io
import json
import re
import sys
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from itertools import chain
from pathlib import Path, PurePath
from types import ModuleType
from typing import TYPE_CHECKING, Any, BinaryIO

from .chunks import CHUNK_BYTES, Chunk, CutShortError, Document, Rows, Unreadable, lines
from .columns import ColumnsError, find

if TYPE_CHECKING:
    import pyarrow as pa
    from pyarrow import parquet

    from .columns import Columns

STDIN = "-"
LARGEST_DOCUMENT = 1 << 28
"""Bytes of a request or a list of requests that is no line: it is held whole."""
ROWS = 1024
"""Rows of a table at a time."""
_KEPT_BYTES = 1 << 23
"""A block of this size, once freed, lets glibc keep as much of what is freed later. Else it gives every chunk back to
the system and asks for the next one, whose pages have to be cleared: a third of the time that reading took."""
_BEGINS = {
    b"\x1f\x8b": "gzip",
    b"\x28\xb5\x2f\xfd": "zstd",
    b"PAR1": "parquet",
    b"ARROW1": "arrow",
    b"\xff\xff\xff\xff": "arrow stream",
}
_NAMED = {".gz": "gzip", ".zst": "zstd", ".parquet": "parquet", ".arrow": "arrow", ".feather": "arrow"}
_LINES = (".ndjson", ".jsonl")
_value_follows_value = re.compile(rb'[}\]"0-9a-z][ \t\r]*\n[ \t\r\n]*+[{\["0-9a-z-]').search
"""A value, the end of a line, and a value: in no JSON document does one follow another like that."""


class Meter:
    """How far the reading is, in bytes of the files as they are stored."""

    def __init__(self) -> None:
        self.done = 0
        self.total: int | None = 0
        """None where a file does not say how large it is."""


class _UnreadableError(Exception):
    """Says why."""


def chunks(files: Iterable[str], meter: Meter, *, max_bytes: int, column: str | None = None) -> Iterator[Chunk]:
    """Everything in the files, in order. One that cannot be read, or no further, is told and ends nothing.

    `max_bytes` is the most that a line may have; `column` names the one that has the requests of a table.
    """
    bytes(_KEPT_BYTES)
    sizes = [_size(file) for file in files]
    meter.total = None if None in sizes else sum(size or 0 for size in sizes)
    for file, size in zip(files, sizes, strict=True):
        before = meter.done
        try:
            with ExitStack() as stack:
                stream = sys.stdin.buffer if file == STDIN else stack.enter_context(Path(file).open("rb"))
                yield from content(file, stream, meter, max_bytes, column)
        except OSError as error:
            yield Unreadable(file, error.strerror or str(error))
        except (_UnreadableError, CutShortError) as error:
            yield Unreadable(file, str(error))
        if size is not None:
            meter.done = before + size


def _size(file: str) -> int | None:
    """In bytes; None for what is no file."""
    if file == STDIN:
        return None
    path = Path(file)
    return path.stat().st_size if path.is_file() else None if path.exists() else 0


def kind_of(head: bytes, file: str) -> str:
    """How a file is stored, by what it begins with and else by its name; empty for plain text."""
    begins = (kind for start, kind in _BEGINS.items() if head.startswith(start))
    return next(begins, _NAMED.get(PurePath(file.lower()).suffix, ""))


def content(
    file: str, stream: BinaryIO, meter: Meter, max_bytes: int, column: str | None, within: range | None = None
) -> Iterator[Chunk]:
    """Everything in a stream that is called so; of Parquet, if asked for, the row groups that begin within some bytes.

    Raises OSError and CutShortError as the stream does, and what `chunks` tells for a file that is not as expected.
    """
    head = stream.read(8)
    path = PurePath("" if file == STDIN else file.lower())
    kind = kind_of(head, str(path))
    source = io.BufferedReader(_Source(head, stream, meter), CHUNK_BYTES)
    if kind in ("parquet", "arrow", "arrow stream"):
        yield from _table(file, kind, source if kind == "arrow stream" else stream, meter, column, within)
        return
    if kind:
        blocks = _decompressed(kind, source)
        path = path.with_suffix("") if path.suffix in _NAMED else path
    else:
        blocks = iter(lambda: source.read(CHUNK_BYTES), b"")
    if path.suffix in _LINES:
        yield from lines(file, blocks, max_bytes=max_bytes)
    elif path.suffix == ".json":
        yield Document(file, b"".join(_bounded(blocks)))
    else:
        yield from _lines_or_document(file, blocks, max_bytes)


class _Source(io.RawIOBase):
    """A stream whose start has been looked at, and which is measured."""

    def __init__(self, head: bytes, stream: BinaryIO, meter: Meter) -> None:
        self._head = head
        self._stream: Any = stream
        self._meter = meter

    def readable(self) -> bool:
        return True

    def readinto(self, buffer: Any) -> int:
        try:
            count: int = io.BytesIO(self._head).readinto(buffer) or self._stream.readinto(buffer)
        except OSError as error:
            raise CutShortError(error.strerror or str(error)) from None
        self._head = self._head[count:]
        self._meter.done += count
        return count


def _bounded(blocks: Iterable[bytes]) -> Iterator[bytes]:
    size = 0
    for block in blocks:
        size += len(block)
        if size > LARGEST_DOCUMENT:
            most = LARGEST_DOCUMENT >> 20
            raise _UnreadableError(f"a document of more than {most} MiB; expected a request a line, as in .ndjson")
        yield block


def _lines_or_document(file: str, blocks: Iterator[bytes], max_bytes: int) -> Iterator[Chunk]:
    """A document, or a request a line: whatever the whole of it parses as. It is held until that is known."""
    held: list[bytes] = []
    end = b""
    for block in _bounded(blocks):
        held.append(block)
        if _value_follows_value(end + block):
            yield from lines(file, chain(held, blocks), max_bytes=max_bytes)
            return
        end = block[-80:]
    data = b"".join(held)
    if len(data.splitlines()) > 1 and not _is_json(data):
        yield from lines(file, [data], max_bytes=max_bytes)
    elif data.strip():
        yield Document(file, data)


def _is_json(data: bytes) -> bool:
    try:
        json.loads(data.decode("utf-8-sig"), parse_int=str, parse_float=str)
    except (ValueError, RecursionError):
        return False
    return True


# Compression


def _decompressed(kind: str, source: io.BufferedReader[Any]) -> Iterator[bytes]:
    """Raises CutShortError where the data end too early or are none of that kind, after all that came before."""
    reader: Any
    if kind == "gzip":
        import gzip
        import zlib

        reader, errors = gzip.GzipFile(fileobj=source), (OSError, zlib.error)
    else:
        zstd = _zstd()
        reader, errors = zstd.ZstdFile(source), (OSError, zstd.ZstdError)
    if not source.peek(1):  # which GzipFile takes for no members at all
        raise CutShortError(f"the {kind} data end too early")
    try:
        # read1 keeps nothing back that a failure in the next read would lose.
        while block := reader.read1(CHUNK_BYTES):
            yield block
    except EOFError:
        raise CutShortError(f"the {kind} data end too early") from None
    except errors as error:
        raise CutShortError(f"the {kind} data are corrupt: {error}") from None


def _zstd() -> ModuleType:
    try:
        if sys.version_info >= (3, 14):
            from compression import zstd
        else:
            from backports import zstd
    except ModuleNotFoundError:
        raise _UnreadableError("zstd needs backports.zstd: pip install 'prospec[files]'") from None
    return zstd


# Tables

_Batches = Iterator[tuple[float, "Columns", "pa.RecordBatch"]]
"""The share of the file that is then read, where the requests are, and some rows."""


def _table(
    file: str, kind: str, stream: BinaryIO, meter: Meter, column: str | None, within: range | None
) -> Iterator[Chunk]:
    try:
        import pyarrow as pa
    except ModuleNotFoundError:
        raise _UnreadableError("a table needs pyarrow: pip install 'prospec[files]'") from None
    if kind != "arrow stream" and not stream.seekable():
        raise _UnreadableError("this kind of table is not read from a pipe; save it to a file first")
    readers: dict[str, Callable[[BinaryIO, str | None], _Batches]] = {
        "parquet": partial(_parquet, within=within),
        "arrow": _arrow,
        "arrow stream": _arrow_stream,
    }
    before, size, first = meter.done, _size(file) or 0, 1
    try:
        for share, columns, batch in readers[kind](stream, column):
            for start in range(0, batch.num_rows, ROWS):
                rows = batch.slice(start, ROWS)
                yield Rows(file, first, _stored(rows), columns)
                first += rows.num_rows
            if share:
                meter.done = before + int(size * share)
    except ColumnsError as error:
        raise _UnreadableError(str(error)) from None
    except (pa.ArrowException, ValueError, OSError, MemoryError) as error:
        yield Unreadable(file, f"the table is corrupt: {str(error).partition(chr(10))[0]}", first)


def _parquet(stream: BinaryIO, column: str | None, within: range | None) -> _Batches:
    from pyarrow import parquet

    # Read ahead and unbuffered, a whole row group would be held.
    with parquet.ParquetFile(stream, pre_buffer=False, buffer_size=CHUNK_BYTES) as table:
        columns = find(table.schema_arrow, column)
        groups = [index for index in range(table.num_row_groups) if not within or _begin(table, index) in within]
        done = 0
        for batch in table.iter_batches(ROWS, row_groups=groups, columns=list(columns.names)):
            done += batch.num_rows
            yield done / table.metadata.num_rows, columns, batch


def _begin(table: parquet.ParquetFile, group: int) -> int:
    """The first byte of a row group, as far as its first column tells."""
    first = table.metadata.row_group(group).column(0)
    return int(min(first.data_page_offset, first.dictionary_page_offset or first.data_page_offset))


def _arrow(stream: BinaryIO, column: str | None) -> _Batches:
    from pyarrow import ipc

    columns = find(schema := ipc.open_file(stream).schema, column)
    taken = [schema.get_field_index(name) for name in columns.names]
    table = ipc.open_file(stream, options=ipc.IpcReadOptions(included_fields=taken))
    for index in range(table.num_record_batches):
        batch = table.get_batch(index)
        batch.validate(full=True)  # offsets out of bounds would be followed
        yield (index + 1) / table.num_record_batches, columns, batch


def _arrow_stream(stream: BinaryIO, column: str | None) -> _Batches:
    from pyarrow import ipc

    table = ipc.open_stream(stream)
    columns = find(table.schema, column)
    for batch in table:
        taken = batch.select(list(columns.names))
        taken.validate(full=True)
        yield 0, columns, taken


def _stored(rows: pa.RecordBatch) -> bytes:
    """As a stream of Arrow's, which takes a slice for what it is, as pickle does not."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as stream:
        stream.write_batch(rows)
    return bytes(sink.getvalue())
