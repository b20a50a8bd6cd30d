"""Small genuine files for uploads, by their content type, the same padded to any size, and files that are public.

Here lives nothing else.
"""

from __future__ import annotations

import struct
import zlib
from base64 import b64decode
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

PIECE_BYTES = 1 << 18
"""How much of a padded file is in memory at once."""


@dataclass(frozen=True, slots=True)
class Padded:
    """A file, and zero bytes after it up to a size. Iterating yields its bytes, piece by piece, as often as wanted."""

    file: bytes = field(repr=False)
    size: int
    """In bytes, all together; no less than the file has."""

    @property
    def zeros(self) -> int:
        return self.size - len(self.file)

    def __len__(self) -> int:
        return self.size

    def __iter__(self) -> Iterator[bytes]:
        yield self.file
        piece = bytes(min(self.zeros, PIECE_BYTES))
        for _ in range(self.zeros // PIECE_BYTES):
            yield piece
        yield piece[: self.zeros % PIECE_BYTES]


def _chunk(name: bytes, data: bytes) -> bytes:
    return struct.pack(">I", len(data)) + name + data + struct.pack(">I", zlib.crc32(name + data))


def _packed(text: str) -> bytes:
    return zlib.decompress(b64decode(text))


SIDE = 512
"""Pixels of a picture's side: models refuse smaller ones."""
_PNG = (
    b"\x89PNG\r\n\x1a\n"
    + _chunk(b"IHDR", struct.pack(">IIBBBBB", SIDE, SIDE, 8, 0, 0, 0, 0))
    + _chunk(b"IDAT", zlib.compress((b"\0" + b"\x80" * SIDE) * SIDE))
    + _chunk(b"IEND", b"")
)
_JPEG = _packed("""\
eNr7f+P/AwYBLzdPNwZGRgYGRiBk+H+bwZkhwNzGzcYowM3RLSo0IL7iRFNFXl7F1/U7J574TxwAGsIYGhVVkVnxuqnp9X/ywAEGQQ4mBiYGZkYlBiZB
RmZBxv9HGERAjkQFIFEBbKKijIzowmAjBDEV32LgYWYE2sIsyGDPwLCCYRSMglEwCkbBCAT8/28CAO0Rg8k=""")
"""As large as the PNG, and as plain."""
_WEBP = bytes.fromhex(
    "524946462e000000574542505650384c220000002fffc17f000750c1e295b1ff018140b2bff70c45f43fe33ffff9cf7ffef39ffffc1f"
)
_MP4 = _packed("""\
eNrtVs1rHDcU18bNR2loHSghhy2oJL1l1zPjzZIYBuI4oVtoaC/NoRQmWknjGVYajSXt2puToT2EXHproL74VnrptaVQ8KHQnnpuQg82hNIP6MdfsH2a
9XoUJzG0h56ilUbv/fTe03s/DaNFCOHUjsvcKInQMeRmGBEZ0VCWnRAhdCrVnCN0YlEyYsHm5onjk8lbP9349ZufH/S+/OTij/jB+T/+3Ii6HdzCVGmO
w+4lEHttgBZuvnvjzVYHL99agTXGKSysqHIseGpxFASLrSiInHVmbbm0sLC+vt4e5YwrQYq20qsLLm47s1KAjSptrgqzhCnpExoHWPM0DjHjfaHoIA6W
4IdJQcTYcKdhyWOWE2yGfZACXJoxmMMz0SwO2wGYwAPLfIOzxMVyHokmxSqPwy6mmVaSJOAaYqu5ELkBi8sblxm1INA1CU/GCbujCh5H4cUwxCkxNinN
IC/BaT/AWpmoNDXcOdlMg4OJIyyUGpAMlKTGjMgpr4FwCriVQld70VwS6/LJC8u1IGANeF8MNRknVMmSVJkBSVaTvIBYYKiJs0k1kdwVsM7z1cyWIA34
GJbjSzMpkXkRd7ChvOB06CJV3o4azU3mCKcx1SmWfeDDMQpKHC22A7zmNo+DdhfE0oWpZrIRd6+AYCwvIXBeArlwhMB9Bw5qLQ7QJkINxu9+tHTm3lwT
fYfYoyPa7198/bz/t/4X8JxytPec6f+BaXRy+VM8v/1yE8QXl9HegQL41TMePlMAv+3jt2t808c3a3zbx7drfMfHd2p818d3D/At5OEHCuDYx3GN+/lv
1flv+fnPlLlrUqkRgEKOMoYea3O/IPTSV6iBXK9b43Grw/pVdGQ7Bl3AF2sA8gd2UO0592Q02Bcdvc/T9m3sTge0C5xZA3OTC2Nrj/24lW/jkYSrBwQs
2eHaXbQd9N63ldLKmNCzFXf1+Za33FXYIwUT3Nk0PoZPawrCqyNZBfXTvMCma00G32uvjNNDLfBUbrxjbF+A/Jmxhnk29919/wwqoGgouwdC71kWT7Rz
k4krDaKuNK7tnJ3sobOrMD88+eHDeXck1WPz7/5vDfRC9sMr37uS4E7Z53J+xsc5YyueD0pBzhNsIX0fd6MJGD2End6fr8PaHS89wI+fd/H/xYA9qfLi
BzD6Q2bdGb8veTW79rp/nvAOaFKWwuemlU9fmjc+t8oFfA3+VpEZq2+TUdqN2iH0IPoHDXWTxQ==""")
"""3 s of one colour, 480 by 480 pixels."""
_MOV = _MP4.replace(b"ftypisom\0\0\2\0isomiso2avc1mp41", b"ftypqt  \0\0\2\0qt  qt  qt  qt  ")
_WAV_S = 2
_SILENCE = b"\x80" * 8000 * _WAV_S
_WAV = (
    struct.pack(
        "<4sI4s4sIHHIIHH4sI",
        b"RIFF",
        36 + len(_SILENCE),
        b"WAVE",
        b"fmt ",
        16,
        1,
        1,
        8000,
        8000,
        1,
        8,
        b"data",
        len(_SILENCE),
    )
    + _SILENCE
)
_MP3 = (b"\xff\xfb\x90\xc4" + bytes(413)) * 77
"""Frames of 417 bytes, each 1152 samples of silence: 2 s at 44.1 kHz."""

FILES: Mapping[str, tuple[str, bytes]] = {
    "image/jpeg": ("image.jpg", _JPEG),
    "image/png": ("image.png", _PNG),
    "image/webp": ("image.webp", _WEBP),
    "video/mp4": ("clip.mp4", _MP4),
    "video/quicktime": ("clip.mov", _MOV),
    "audio/mpeg": ("voice.mp3", _MP3),
    "audio/wav": ("voice.wav", _WAV),
}
"""By content type: file name, bytes."""
UNLISTED: Mapping[str, tuple[str, str, bytes]] = {
    "image/gif": (
        "image",
        "image.gif",
        b"GIF89a\x01\0\x01\0\x80\0\0\0\0\0\xff\xff\xff,\0\0\0\0\x01\0\x01\0\0\x02\x02D\x01\0;",
    ),
    "video/webm": (
        "video",
        "clip.webm",
        b"\x1aE\xdf\xa3\x9fB\x86\x81\x01B\xf7\x81\x01B\xf2\x81\x04B\xf3\x81\x08B\x82\x84webm",
    ),
    "audio/ogg": ("audio", "voice.ogg", b"OggS\0\x02" + bytes(20) + b"\x01\x1e\x01vorbis" + bytes(23)),
    "application/pdf": ("image", "image.pdf", b"%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n%%EOF\n"),
}
"""By a content type that cannot be uploaded: the kind of media that it passes for, file name, the beginning of one."""
SAMPLES = {
    "image": ("image/png", *FILES["image/png"]),
    "mask": ("image/png", "mask.png", _PNG),
    "video": ("video/mp4", *FILES["video/mp4"]),
    "audio": ("audio/wav", *FILES["audio/wav"]),
}
"""By kind of media: content type, file name, bytes."""
PUBLIC = {
    "image": "https://mdn.github.io/shared-assets/images/examples/balloon_640x427.jpg",
    "mask": "https://mdn.github.io/shared-assets/images/examples/star-white_256x256.png",
    "video": "https://mdn.github.io/shared-assets/videos/learn/bug_video_640.mp4",
    "audio": "https://mdn.github.io/shared-assets/audio/guitar.mp3",
}
"""By kind of media: a file that is there for anybody to fetch. Nobody's secret, and sent by nobody but the target."""
