"""The smallest files of each kind, for uploads: real headers, next to no content. Here lives nothing else."""

from __future__ import annotations

import struct
import zlib


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


_PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", 1, 1, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress(b"\x00\xff"))
    + _chunk(b"IEND", b"")
)
_MP4 = struct.pack(">I4s4sI4s4s", 24, b"ftyp", b"isom", 512, b"isom", b"mp41") + struct.pack(">I4s", 8, b"mdat")
_WAV = struct.pack("<4sI4s4sIHHIIHH4sI", b"RIFF", 36, b"WAVE", b"fmt ", 16, 1, 1, 8000, 8000, 1, 8, b"data", 0)

SAMPLES = {
    "image": ("image/png", "image.png", _PNG),
    "mask": ("image/png", "mask.png", _PNG),
    "video": ("video/mp4", "clip.mp4", _MP4),
    "audio": ("audio/wav", "voice.wav", _WAV),
}
"""By kind of media: content type, file name, bytes."""
