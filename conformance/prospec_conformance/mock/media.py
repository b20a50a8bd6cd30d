"""What a generation yields: a picture or a clip of the size, the length and the format that were asked for.

Drawn, not generated: a plain ground with the model, the size and the prompt on it, so that a person sees at a glance
which request it belongs to. Needs the extra `media`. Here live no state and no HTTP.
"""

from __future__ import annotations

import hashlib
import io
import re
import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prospec.ir import Mode, Model

if TYPE_CHECKING:
    from PIL.Image import Image

Format = Literal["png", "jpeg", "webp", "mp4"]
TYPES: Mapping[str, str] = {"png": "image/png", "jpeg": "image/jpeg", "webp": "image/webp", "mp4": "video/mp4"}
"""Format -> content type. The format is also how the name of the file ends."""
FRAMES_A_SECOND = 8
LONGEST_S = 60
LARGEST = 4096
"""Pixels of a side."""
PRESETS: Mapping[str, tuple[int, int]] = {
    "square_hd": (1024, 1024),
    "square": (512, 512),
    "landscape_4_3": (1024, 768),
    "landscape_16_9": (1024, 576),
    "portrait_4_3": (768, 1024),
    "portrait_16_9": (576, 1024),
}
"""Pixels of the named sizes: no page says them, these are the upstream endpoint's."""
SHORT_SIDES: Mapping[str, int] = {"480p": 480, "720p": 720, "1080p": 1080}
LONG_SIDES: Mapping[str, int] = {"1K": 1024, "2K": 2048, "3K": 3072, "4K": 4096}


@dataclass(frozen=True, slots=True)
class Drawing:
    """What is to be drawn."""

    format: Format
    width: int
    height: int
    seconds: float
    """0 for a picture."""
    title: str
    prompt: str


def drawing(model: Model, mode: Mode, params: Mapping[str, Any]) -> Drawing:
    """What a request asks for, as far as its params say; what they leave out has the mode's default."""
    given = {param.name: param.default for param in mode.params if param.default is not None} | dict(params)
    width, height = _size(model, given)
    seconds = _seconds(given.get("duration")) if model.kind == "video" else 0.0
    format = str(given.get("output_format", "png"))
    return Drawing(
        format="mp4" if model.kind == "video" else format if format in ("png", "jpeg", "webp") else "png",  # type: ignore[arg-type]
        width=width,
        height=height,
        seconds=seconds,
        title=f"{model.name}, {mode.id}",
        prompt=str(given.get("prompt", "")),
    )


def _size(model: Model, given: Mapping[str, Any]) -> tuple[int, int]:
    wanted = given.get("image_size")
    if isinstance(wanted, Mapping):
        return _bounded(wanted.get("width")), _bounded(wanted.get("height"))
    if isinstance(wanted, str) and wanted in PRESETS:
        return PRESETS[wanted]
    width, height = _ratio(given.get("aspect_ratio"))
    named = [str(given.get(name)) for name in ("resolution", "size")]
    long_side = next((LONG_SIDES[name] for name in named if name in LONG_SIDES), None)
    usual = 720 if model.kind == "video" else 1024
    short_side = next((SHORT_SIDES[name] for name in named if name in SHORT_SIDES), usual)
    scale = long_side / max(width, height) if long_side else short_side / min(width, height)
    return _even(width * scale), _even(height * scale)


def _ratio(text: object) -> tuple[int, int]:
    """16 and 9 of 16:9; a square, or wide for what is no ratio (auto)."""
    match = re.fullmatch(r"([1-9][0-9]?):([1-9][0-9]?)", text) if isinstance(text, str) else None
    return (int(match[1]), int(match[2])) if match else (16, 9)


def _bounded(side: object) -> int:
    return min(max(int(side), 1), LARGEST) if isinstance(side, int | float) else 1024


def _even(side: float) -> int:
    """The encoder of a clip takes even sides alone."""
    return min(max(2 * round(side / 2), 2), LARGEST)


def _seconds(duration: object) -> float:
    if isinstance(duration, str):
        digits = duration.removesuffix("s")
        duration = int(digits) if digits.isascii() and digits.isdigit() and len(digits) < 4 else None
    if isinstance(duration, int | float) and not isinstance(duration, bool):
        return float(min(max(duration, 1), LONGEST_S))
    return 5.0


def render(drawn: Drawing) -> bytes:
    """The file. Raises ModuleNotFoundError without the extra."""
    picture = _picture(drawn)
    if drawn.format == "mp4":
        return _clip(drawn, picture)
    out = io.BytesIO()
    picture.save(out, drawn.format.upper())
    return out.getvalue()


def _picture(drawn: Drawing) -> Image:
    from PIL import Image, ImageDraw, ImageFont

    digest = hashlib.sha256(f"{drawn.title}\n{drawn.prompt}".encode("utf-8", "replace")).digest()
    red, green, blue = (40 + each % 120 for each in digest[:3])
    picture = Image.new("RGB", (drawn.width, drawn.height), (red, green, blue))
    size = max(10, min(drawn.width, drawn.height) // 24)
    font = ImageFont.load_default(size)
    lines = [drawn.title, f"{drawn.width} x {drawn.height}{f', {drawn.seconds:g} s' if drawn.seconds else ''}", ""]
    shown = "".join(each if each.isprintable() else " " for each in drawn.prompt[:600])
    lines += textwrap.wrap(shown, width=max(8, int(1.7 * drawn.width / size)))
    ImageDraw.Draw(picture).multiline_text((size, size), "\n".join(lines), font=font, fill=(255, 255, 255))
    return picture


def _clip(drawn: Drawing, picture: Image) -> bytes:
    """The picture, with a bar that runs from left to right in the time that the clip lasts."""
    import av
    from PIL import ImageDraw

    out = io.BytesIO()
    count = max(1, round(drawn.seconds * FRAMES_A_SECOND))
    top = drawn.height - max(2, drawn.height // 40)
    with av.open(out, "w", format="mp4") as container:
        stream = container.add_stream("libx264", rate=FRAMES_A_SECOND, options={"preset": "ultrafast"})
        stream.width, stream.height, stream.pix_fmt = drawn.width, drawn.height, "yuv420p"
        for number in range(count):
            frame = picture.copy()
            done = round(drawn.width * (number + 1) / count)
            ImageDraw.Draw(frame).rectangle((0, top, done, drawn.height), fill=(255, 255, 255))
            container.mux(stream.encode(av.VideoFrame.from_image(frame)))  # type: ignore[no-untyped-call]
        container.mux(stream.encode())
    return out.getvalue()
