"""Local files: what type they are by their content, whether the API would take them, how they are read and written.

Here lives no HTTP.
"""

from __future__ import annotations

import asyncio
import os
import secrets
from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, BinaryIO, TypeGuard

from .catalog import MODELS
from .errors import FileRefused
from .model import Param
from .service import UPLOAD_KINDS
from .values import is_array, is_media

Progress = Callable[[int, int | None], None]
"""Told the bytes so far, and of how many; None where nobody knows."""
_PIECE_BYTES = 64 * 1024
_HEAD_BYTES = 16
_MASK_KIND = "image"
"""A mask is a picture."""


class LocalFileError(Exception):
    """Reading or writing a local file failed. Its text names the file and the reason."""


class CallbackError(Exception):
    """Carries what a callback raised past those who would take it for a failure of the network."""

    def __init__(self, error: Exception) -> None:
        super().__init__()
        self.error = error


def _tell(on_progress: Progress | None, done: int, total: int | None) -> None:
    if on_progress is not None:
        try:
            on_progress(done, total)
        except Exception as error:
            raise CallbackError(error) from None


@dataclass(frozen=True, slots=True)
class FileBody:
    """A file that is ready to be sent: open, of a known type and size."""

    name: str
    content_type: str
    size: int
    file: BinaryIO = field(repr=False)
    start: int = 0
    """Where in `file` its content begins: there it is read from again when it has to be sent again."""

    def pieces(self, on_progress: Progress | None) -> Iterator[bytes]:
        """The content. Raises LocalFileError for a file that can no longer be read, or has another size by now."""
        sent = 0
        for piece in iter(self._reader(), b""):
            sent += len(piece)
            self._check(sent)
            yield piece
            _tell(on_progress, sent, self.size)
        self._check(sent, is_end=True)

    async def pieces_async(self, on_progress: Progress | None) -> AsyncIterator[bytes]:
        """`pieces`, read in a thread."""
        pieces = self.pieces(on_progress)
        while piece := await asyncio.to_thread(next, pieces, b""):
            yield piece

    def _reader(self) -> Callable[[], bytes]:
        try:
            self.file.seek(self.start)
        except (OSError, ValueError) as error:
            raise LocalFileError(f"{self.name}: {error}") from None

        def read() -> bytes:
            try:
                return self.file.read(_PIECE_BYTES)
            except (OSError, ValueError) as error:
                raise LocalFileError(f"{self.name}: {error}") from None

        return read

    def _check(self, sent: int, *, is_end: bool = False) -> None:
        if sent > self.size or (is_end and sent < self.size):
            raise LocalFileError(f"{self.name}: its size changed while it was sent")


def opened(source: str | os.PathLike[str] | BinaryIO, content_type: str | None = None) -> FileBody:
    """A file by its path, or one that is open for reading in binary; it is read from where it stands.

    `content_type` overrides what the content says. Raises FileRefused for what cannot be read or the API does not take.
    """
    if isinstance(source, str | os.PathLike):
        path = Path(source)
        try:
            file: BinaryIO = path.open("rb")
        except (OSError, ValueError) as error:
            raise FileRefused(f"{path}: {getattr(error, 'strerror', None) or error}") from None
        try:
            return _checked(file, path.name, content_type)
        except BaseException:
            file.close()
            raise
    name = Path(str(getattr(source, "name", "") or "file")).name
    try:
        return _checked(source, name, content_type)
    except (OSError, ValueError, AttributeError, TypeError) as error:
        raise FileRefused(f"{name}: a file that is open in binary and can be sought is needed: {error}") from None


def _checked(file: BinaryIO, name: str, content_type: str | None) -> FileBody:
    start = file.tell()
    head = file.read(_HEAD_BYTES)
    if not isinstance(head, bytes):
        raise FileRefused(f"{name}: it is open as text; open it in binary")
    size = file.seek(0, os.SEEK_END) - start
    file.seek(start)
    type = content_type or content_type_of(head)
    known = {each: kind for kind, (types, _) in UPLOAD_KINDS.items() for each in types}
    if type is None or type not in known:
        what = "its content is of no type" if type is None else f"{type} is none of the types"
        raise FileRefused(f"{name}: {what} that can be uploaded: {', '.join(known)}")
    max_bytes = UPLOAD_KINDS[known[type]][1]
    if not 0 < size <= max_bytes:
        raise FileRefused(f"{name} has {size:,} bytes; {known[type]} files of 1 to {max_bytes:,} bytes can be uploaded")
    return FileBody(name, type, size, file, start)


def content_type_of(head: bytes) -> str | None:
    """The content type of a file, by its first 16 bytes; None for one that the API does not list."""
    if head.startswith(b"\xff\xd8\xff"):
        return "image/jpeg"
    if head.startswith(b"\x89PNG\r\n\x1a\n"):
        return "image/png"
    if head.startswith(b"RIFF"):
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav"}.get(head[8:12])
    if head[4:8] == b"ftyp":
        # Pictures such as HEIC and AVIF, and sound alone, are kept in the same container under brands of their own.
        brand = head[8:12]
        others = (b"heic", b"heix", b"mif1", b"msf1", b"avif", b"avis", b"M4A ", b"M4B ")
        return "video/quicktime" if brand == b"qt  " else None if brand in others else "video/mp4"
    if head[4:8] in (b"moov", b"mdat", b"wide"):
        return "video/quicktime"
    # Without an ID3 tag, MP3 begins with a frame: eleven bits that are set, then layer III.
    if head.startswith(b"ID3") or (len(head) > 1 and head[0] == 0xFF and head[1] & 0xE6 == 0xE2):
        return "audio/mpeg"
    return None


def local_files(model: object, mode: object, params: object) -> Iterator[tuple[str, Param]]:
    """The (path, param) of every local file in the media params of a request, known or not by the catalog."""
    for name, param in _media_params(model, mode).items():
        value = params.get(name) if isinstance(params, Mapping) else None
        for item in value if is_array(value) else [value]:
            if _is_local(item):
                yield os.fspath(item), param


def with_tokens(model: object, mode: object, params: Any, tokens: Mapping[str, str]) -> Any:
    """The params with a token in the place of every local file; others stay as they are."""

    def replaced(item: Any) -> Any:
        return tokens[os.fspath(item)] if _is_local(item) and os.fspath(item) in tokens else item

    media = _media_params(model, mode)
    if not isinstance(params, Mapping):
        return params
    return {
        name: value if name not in media else [replaced(item) for item in value] if is_array(value) else replaced(value)
        for name, value in params.items()
    }


def check_kind(body: FileBody, param: Param) -> None:
    """Raises FileRefused for a picture where a film is asked for, and the like."""
    kind = _MASK_KIND if param.media == "mask" else param.media
    if kind in UPLOAD_KINDS and body.content_type not in UPLOAD_KINDS[kind][0]:
        raise FileRefused(f"{body.name}: {param.name} takes {kind} files, and this is {body.content_type}")


def _media_params(model: object, mode: object) -> dict[str, Param]:
    of = MODELS.get(model) if isinstance(model, str) else None
    row = of.mode(mode if isinstance(mode, str) else None) if of else None
    return {param.name: param for param in row.params if param.media} if row else {}


def _is_local(item: object) -> TypeGuard[str | os.PathLike[str]]:
    return isinstance(item, os.PathLike) or (isinstance(item, str) and not is_media(item) and os.path.isfile(item))


class Saving:
    """Writes a file piece by piece, and puts it in its place only once it is whole.

    Leaving the context without `finish` removes what was written. Raises LocalFileError.
    """

    def __init__(self, path: Path, total: int | None, on_progress: Progress | None) -> None:
        self._path = path
        self._part = path.with_name(f".{path.name}.{secrets.token_hex(4)}.part")
        self._total = total
        self._on_progress = on_progress
        self._done = 0

    def __enter__(self) -> Saving:
        try:
            self._file = self._part.open("xb")
        except OSError as error:
            raise LocalFileError(f"{self._path}: {error.strerror}") from None
        return self

    def write(self, piece: bytes) -> None:
        try:
            self._file.write(piece)
        except OSError as error:
            raise LocalFileError(f"{self._path}: {error.strerror}") from None
        self._done += len(piece)
        _tell(self._on_progress, self._done, self._total)

    def finish(self) -> None:
        try:
            self._file.close()
            os.replace(self._part, self._path)
        except OSError as error:
            raise LocalFileError(f"{self._path}: {error.strerror}") from None

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        with suppress(OSError):
            self._file.close()
        self._part.unlink(missing_ok=True)
