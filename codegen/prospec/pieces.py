"""Datasets, in folders or object stores, as pieces to be read apart: which files there are, and where they are cut.

A large file of lines or of Parquet is cut at so many bytes. A line belongs to the piece in which it begins, a row group
to the one in which it is stored first, so that whoever reads a piece needs to know nothing of the others. Here live no
rule about requests and no cluster. Needs fsspec, by the extra `ray`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import PurePosixPath
from typing import Any, BinaryIO

from .chunks import CHUNK_BYTES, Chunk, Unreadable, lines
from .inputs import Meter, content, kind_of

PIECE_BYTES = 1 << 25
"""Enough that starting a task costs little beside doing it, few enough that a lost one is soon done again."""
PIECES = 4096
"""Pieces that a large dataset is cut into at most, files apart."""
_LINES = (".ndjson", ".jsonl")
_CUT = (*_LINES, ".parquet")
_STORED = (*_CUT, ".json", ".arrow", ".feather")
_COMPRESSED = (".gz", ".zst")
_HIDDEN = (".", "_")
"""What names begin with that belong to the tool that wrote a dataset."""
_GLOB = re.compile(r"[*?\[]")
_SECRET = re.compile(r"\?\S*|(?<=://)[^/\s@]*@")


@dataclass(frozen=True, slots=True)
class Piece:
    """A file, or the part of one between two bytes."""

    file: str
    """As people are shown it."""
    url: str = field(repr=False)
    """Where it is read. It may bear a signature."""
    size: int
    """Bytes that are read of it."""
    start: int = 0
    stop: int | None = None
    """The byte after the last; None is the end, wherever that is."""


@dataclass(slots=True)
class Ends:
    """How many lines have ended in a piece, as far as it has been read: what to add to the numbers of the next."""

    count: int = 0


@dataclass(frozen=True, slots=True)
class _File:
    file: str
    url: str = field(repr=False)
    size: int


def pieces(datasets: Iterable[str], skipped: list[str], *, piece_bytes: int = PIECE_BYTES) -> list[Piece | Unreadable]:
    """The pieces of files, folders and patterns, local or by URL, in order; a folder's files by their names.

    What is in a folder and holds no requests by its name is added to `skipped`.
    """
    found: list[_File | Unreadable] = []
    for dataset in datasets:
        try:
            files = list(_files(dataset, skipped))
            found += files or [Unreadable(_shown(dataset), "no file of requests in it")]
        except Exception as error:  # every store has errors of its own
            found.append(Unreadable(_shown(dataset), reason(error)))
    total = sum(each.size for each in found if isinstance(each, _File))
    step = max(piece_bytes, -(-total // PIECES))
    cut: list[Piece | Unreadable] = []
    for each in found:
        if isinstance(each, Unreadable):
            cut.append(each)
        elif each.size > step and each.file.lower().endswith(_CUT):
            for start in range(0, each.size, step):
                stop = start + step if start + step < each.size else None
                cut.append(Piece(each.file, each.url, min(step, each.size - start), start, stop))
        else:
            cut.append(Piece(each.file, each.url, each.size))
    return cut


def groups(pieces: Iterable[Piece], *, piece_bytes: int = PIECE_BYTES) -> Iterator[list[Piece]]:
    """Pieces in order, the small ones together: a task each."""
    group: list[Piece] = []
    size = 0
    for piece in pieces:
        if group and size + piece.size > piece_bytes:
            yield group
            group, size = [], 0
        group.append(piece)
        size += piece.size
    if group:
        yield group


def read(piece: Piece, ends: Ends, *, max_bytes: int, column: str | None = None) -> Iterator[Chunk]:
    """What is in a piece, numbered from the first line or row that is its own. What cannot be read is told.

    Of a file that is no lines and no Parquet after all, the first piece has everything.
    """
    import fsspec

    try:
        with fsspec.open(piece.url, "rb") as opened:
            stream: Any = opened
            if not piece.start and piece.stop is None:
                yield from content(piece.file, stream, Meter(), max_bytes, column)
                return
            kind = kind_of(stream.read(8), piece.file)
            stream.seek(0)
            within = range(piece.start, piece.stop or _END)
            if kind == "parquet":
                yield from content(piece.file, stream, Meter(), max_bytes, column, within)
            elif not kind and piece.file.lower().endswith(_LINES):
                first = 0 if piece.start else 1
                yield from lines(piece.file, _owned(stream, within, ends), max_bytes=max_bytes, first=first)
            elif not piece.start:
                yield from content(piece.file, stream, Meter(), max_bytes, column)
    except Exception as error:  # every store has errors of its own
        yield Unreadable(piece.file, reason(error))


_END = 1 << 62


def reason(error: Exception) -> str:
    """Why a store does not give something, without the signature that a URL may bear."""
    if isinstance(error, FileNotFoundError):
        return "No such file or directory"
    if isinstance(error, OSError) and error.strerror:
        return error.strerror
    return f"{type(error).__name__}: {_SECRET.sub('', str(error))}"


def _owned(stream: BinaryIO, within: range, ends: Ends) -> Iterator[bytes]:
    """The bytes of the lines that begin within a range, after the end of the line before, where there is one.

    That end makes an empty line of the number 0, which is no request and was counted in the piece before.
    """
    at = max(within.start - 1, 0)
    stream.seek(at)
    is_begun = not within.start
    last = within.stop - 1
    while block := stream.read(CHUNK_BYTES):
        if not is_begun:
            before = block.find(b"\n", 0, max(last - at, 0))
            if before < 0:
                at += len(block)
                if at >= last:
                    return
                continue
            block, at, is_begun = block[before:], at + before, True
            ends.count -= 1
        after = block.find(b"\n", max(last - at, 0))
        owned = block if after < 0 else block[: after + 1]
        ends.count += owned.count(b"\n")
        yield owned
        if after >= 0:
            return
        at += len(block)


def _files(dataset: str, skipped: list[str]) -> Iterator[_File]:
    """Raises what the store raises."""
    from fsspec.core import url_to_fs

    told = _shown(dataset)
    if "://" not in dataset:
        dataset = os.path.abspath(dataset)
    store, path = url_to_fs(dataset)
    if _GLOB.search(path) and not store.exists(path):
        for match, info in sorted(store.glob(path, detail=True).items()):
            if info["type"] == "file":
                yield _File(_as_pattern(told, path, match), store.unstrip_protocol(match), info["size"] or 0)
        return
    if not store.isdir(path):
        yield _File(told, dataset, store.info(path)["size"] or 0)
        return
    for inside, info in sorted(store.find(path, detail=True).items()):
        name = inside.removeprefix(path).lstrip("/")
        parts = PurePosixPath(name).parts
        if any(part.startswith(_HIDDEN) for part in parts):
            continue
        stem = name.lower().removesuffix(".gz").removesuffix(".zst")
        if stem.endswith(_STORED):
            yield _File(f"{told.rstrip('/')}/{name}", store.unstrip_protocol(inside), info["size"] or 0)
        else:
            skipped.append(f"{told.rstrip('/')}/{name}")


def _as_pattern(told: str, pattern: str, match: str) -> str:
    """The name of a match, in the way in which the pattern was written."""
    tail = pattern.lstrip("/")
    if told.endswith(tail):
        return told.removesuffix(tail) + match.lstrip("/")
    return _shown(match) if "://" in told else os.path.relpath(match)


def _shown(url: str) -> str:
    """Without the key or signature that it may bear."""
    scheme, mark, rest = url.partition("://")
    if not mark:
        return url
    place, slash, path = rest.partition("/")
    return f"{scheme}://{place.rpartition('@')[2]}{slash}{path.partition('?')[0]}"
