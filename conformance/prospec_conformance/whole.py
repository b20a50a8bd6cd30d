"""Files that are there whole or not at all, whenever a run is interrupted. Here lives no report."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path


def write(folder: Path, texts: Mapping[str, str]) -> None:
    """Writes each text under its name. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True)
    for name, text in texts.items():
        draft = folder / f".{name}.part"
        # Half of a surrogate pair has no form in UTF-8.
        draft.write_bytes(text.encode("utf-8", "backslashreplace"))
        draft.replace(folder / name)
