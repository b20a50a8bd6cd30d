"""Outputs: which of them the suite asks for, and what the bytes of a file are. Here live no I/O and no verdicts."""

from __future__ import annotations

import io
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from typing import Any

from prospec.example import request, smallest_params
from prospec.ir import Choice, Evidence, Flag, Mode, Model, Number, Param
from prospo.price import estimate

IMAGE_BRANDS = (b"avif", b"avis", b"heic", b"heix", b"mif1", b"msf1")
"""Of an ISO base media file, those that are pictures."""
SEEN_IN_A_CLIP = ("resolution", "duration", "aspect_ratio", "generate_audio")
"""Params whose effect a program sees."""
SQUARE = "1:1"
"""The aspect ratio that is asked for where there is one: it is no clip's default, and the least to make."""


@dataclass(frozen=True, slots=True)
class Clip:
    """What a video is."""

    width: int
    height: int
    seconds: float
    has_sound: bool


class UnreadableError(ValueError):
    """The bytes are no video, or not a whole one."""


def kind_of(content: bytes) -> str:
    """image or video, by how a file begins; empty for any other."""
    if content.startswith((b"\x89PNG\r\n\x1a\n", b"\xff\xd8\xff", b"GIF87a", b"GIF89a")):
        return "image"
    if content.startswith(b"RIFF") and content[8:12] == b"WEBP":
        return "image"
    if content[4:8] == b"ftyp":
        return "image" if content[8:12] in IMAGE_BRANDS else "video"
    return "video" if content.startswith(b"\x1aE\xdf\xa3") else ""


def clip_of(content: bytes) -> Clip:
    """Raises UnreadableError, and ModuleNotFoundError without the extra `media`."""
    import av
    from av.error import FFmpegError

    try:
        with av.open(io.BytesIO(content), "r") as container:
            if not container.streams.video:
                raise UnreadableError("it has no picture")
            stream = container.streams.video[0]
            if container.duration is None or not stream.width or not stream.height:
                raise UnreadableError("it does not say how long or how large it is")
            seconds = container.duration / av.time_base
            return Clip(stream.width, stream.height, seconds, bool(container.streams.audio))
    except UnreadableError:
        raise
    except (FFmpegError, OSError, ValueError) as error:
        raise UnreadableError(type(error).__name__) from None


def image_request(modes: Iterable[tuple[Model, Mode]]) -> dict[str, Any] | None:
    """For the first mode that makes images; None where there is none."""
    found = next((pair for pair in modes if pair[0].kind == "image"), None)
    return None if found is None else request(*found, smallest_params(found[1]))


def clip_request(modes: Iterable[tuple[Model, Mode]]) -> dict[str, Any] | None:
    """The cheapest among those for the modes that document the most of what a program sees in a clip.

    None where none makes videos.
    """
    videos = [(model, mode, _seen(mode)) for model, mode in modes if model.kind == "video"]
    most = max((len(seen) for _, _, seen in videos), default=0)
    wanted = [
        request(model, mode, smallest_params(mode) | {name: _least(param) for name, param in seen.items()})
        for model, mode, seen in videos
        if len(seen) == most
    ]
    return min(wanted, key=lambda each: estimate(each).high_usd or Decimal("Infinity"), default=None)


def _seen(mode: Mode) -> Mapping[str, Param]:
    rows = {param.name: param for param in mode.params if param.evidence is Evidence.DOCUMENTED}
    return {name: rows[name] for name in SEEN_IN_A_CLIP if name in rows}


def _least(param: Param) -> Any:
    match param.type:
        case Choice(of) if param.name == "aspect_ratio":
            return SQUARE if SQUARE in of else of[-1]
        case Choice(of):
            return of[0]
        case Number(min=low) if low is not None:
            return low
        case Flag():
            return False
        case _:
            return param.default
