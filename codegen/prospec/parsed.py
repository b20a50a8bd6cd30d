"""The parsed files of spec/, kept from one start to the next: to parse them takes longer than the rest of loading.

They stand as JSON in the user's folder for caches, each by the digest of its text, so that what was changed is parsed
anew. Where nothing can be kept, only time is lost. Here live no checks.
"""

from __future__ import annotations

import json
import os
import sys
from contextlib import suppress
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING

from . import __version__

if TYPE_CHECKING:
    from .reading import Raw


def cache_file() -> Path | None:
    """Where this user's parsed files are kept; None for a user without a home."""
    asked = os.environ.get("LOCALAPPDATA" if sys.platform == "win32" else "XDG_CACHE_HOME", "")
    try:
        # A relative one is to be ignored, says the XDG Base Directory Specification.
        folder = Path(asked) if Path(asked).is_absolute() else Path.home() / ".cache"
    except RuntimeError:
        return None
    return folder / "prospec" / "spec.json"


class Parsed:
    """The values of files, parsed now or before. `kept` is the file that they are kept in; it need not exist."""

    def __init__(self, kept: Path | None) -> None:
        self._kept = kept
        self._before: dict[str, Raw] = {} if kept is None else _read(kept)
        self._asked: dict[str, Raw] = {}

    def value(self, data: bytes, suffix: str) -> Raw:
        """What a file says. Raises ValueError for one that cannot be parsed."""
        # The version stands for the parsers, which may one day read the same text otherwise.
        key = sha256(f"{__version__}{suffix}\n".encode() + data).hexdigest()
        if key in self._before:
            self._asked[key] = self._before[key]
        else:
            from . import reading

            self._asked[key] = reading.parse(data.decode("utf-8"), suffix)
        return self._asked[key]

    def keep(self) -> None:
        """Keep what was asked for, and nothing else. Raises TypeError for what JSON has no word for, such as a date."""
        if self._kept is None or self._asked.keys() <= self._before.keys():
            return
        text = json.dumps(self._asked)
        if json.loads(text) != self._asked:
            return  # a key that is a number would come back as text
        draft = self._kept.with_suffix(f".{os.getpid()}")
        with suppress(OSError):
            try:
                self._kept.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
                draft.write_text(text, "utf-8")
                draft.replace(self._kept)
            finally:
                draft.unlink(missing_ok=True)


def _read(kept: Path) -> dict[str, Raw]:
    """What a file has kept; nothing where there is none, or a broken one."""
    try:
        found = json.loads(kept.read_bytes())
    except (OSError, ValueError):
        return {}
    return found if isinstance(found, dict) else {}
