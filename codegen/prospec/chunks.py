"""Pieces of input that are judged at a time, and how a stream of bytes is cut into them: at the ends of lines.

Here lives no I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pickle import PickleBuffer
from typing import TYPE_CHECKING, Any, SupportsIndex

if TYPE_CHECKING:
    from .columns import Columns

CHUNK_BYTES = 1 << 19
"""Enough that handing a chunk to a process costs little beside judging it, few enough to keep memory flat."""
CHUNK_LINES = 1 << 13
"""More than have room where they are of a usual length: a verdict on `1` is far longer than that."""
_BOM = b"\xef\xbb\xbf"


@dataclass(frozen=True, slots=True)
class Lines:
    """Whole lines, a request each."""

    file: str
    first: int
    """The number of the first one, from 1."""
    data: bytes

    def __reduce_ex__(self, _: SupportsIndex) -> tuple[Any, ...]:
        """So that the text can go to another process outside of the pickle."""
        return Lines, (self.file, self.first, PickleBuffer(self.data))


@dataclass(frozen=True, slots=True)
class LongLine:
    """A line that is longer than any request, of which nobody kept the text."""

    file: str
    line: int
    size: int
    """In bytes, without its end."""


@dataclass(frozen=True, slots=True)
class Document:
    """A request, or a list of them."""

    file: str
    data: bytes


@dataclass(frozen=True, slots=True)
class Rows:
    """Rows of a table, a request each."""

    file: str
    first: int
    """The number of the first one, from 1."""
    data: bytes
    """A stream of Arrow's, of a schema and one batch."""
    columns: Columns


@dataclass(frozen=True, slots=True)
class Unreadable:
    """A file of which nothing, or no more, can be read."""

    file: str
    reason: str
    line: int | None = None
    """The line or row, from 1, that was to come next."""


Chunk = Lines | LongLine | Document | Rows | Unreadable


class CutShortError(ValueError):
    """A stream that breaks off; says why."""


def lines(
    file: str, blocks: Iterable[bytes], *, max_bytes: int, chunk_bytes: int = CHUNK_BYTES, first: int = 1
) -> Iterator[Lines | LongLine | Unreadable]:
    """The lines of a stream, however it comes in blocks. A byte order mark before the first belongs to none.

    A line ends with LF or CR LF. One that breaks off with the stream is not told of: nobody knows what it says.
    `first` is the number of the first one.
    """
    held = [b""]
    size = tail = 0
    """Bytes that are held, and those of them after the last LF."""
    long: _Long | None = None
    reason = None

    def taken() -> Iterator[Lines]:
        """The whole lines of what is held; the rest stays."""
        nonlocal first, held, size
        *before, last = held if tail <= len(held[-1]) else [b"".join(held)]
        end = len(last) - tail
        whole = b"".join([*before, memoryview(last)[:end]])
        held, size = [last[end:]], tail
        count = whole.count(b"\n")
        if count > CHUNK_LINES:
            each = whole.split(b"\n")
            for start in range(0, count, CHUNK_LINES):
                yield Lines(file, first + start, b"\n".join([*each[start : min(start + CHUNK_LINES, count)], b""]))
        elif count:
            yield Lines(file, first, whole)
        first += count

    try:
        for each in _without_bom(blocks):
            block = each
            if long:
                part, end, block = block.partition(b"\n")
                long.add(part)
                if not end:
                    continue
                yield from long.told(file, first)
                first, long = first + 1, None
            held.append(block)
            size += len(block)
            after = len(block) - 1 - block.rfind(b"\n")
            tail = tail + after if after == len(block) else after
            if size - tail >= chunk_bytes:
                yield from taken()
            if tail > max_bytes + len(b"\r"):
                yield from taken()
                long = _Long()
                long.add(held[0])
                held, size, tail = [b""], 0, 0
    except CutShortError as error:
        reason = str(error)
    yield from taken()
    if reason is not None:
        yield Unreadable(file, reason, first)
    elif long:
        yield from long.told(file, first)
    elif tail:
        yield Lines(file, first, held[0])


class _Long:
    """What is known of a line that is too long to be held."""

    def __init__(self) -> None:
        self._size = 0
        self._is_blank = True
        self._ends_with_cr = False

    def add(self, part: bytes) -> None:
        self._size += len(part)
        self._is_blank = self._is_blank and not part.strip()
        self._ends_with_cr = part.endswith(b"\r") if part else self._ends_with_cr

    def told(self, file: str, line: int) -> Iterator[LongLine]:
        if not self._is_blank:
            yield LongLine(file, line, self._size - self._ends_with_cr)


def _without_bom(blocks: Iterable[bytes]) -> Iterator[bytes]:
    rest = iter(blocks)
    start = b""
    try:
        while len(start) < len(_BOM) and (block := next(rest, None)) is not None:
            start += block
    except CutShortError:
        yield start.removeprefix(_BOM)
        raise
    yield start.removeprefix(_BOM)
    yield from rest
