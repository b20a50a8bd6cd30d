"""Compares the files of a target with a folder, and writes them there. The only code that touches generated/."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .emit import Files


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not as it should be, or, after writing, that was not."""

    path: str
    state: Literal["missing", "differs", "not ours"]


def compare(files: Files, folder: Path) -> list[Difference]:
    """What differs from `files` in `folder`. What Python and package managers leave behind does not count."""
    found = []
    for path, text in files.items():
        target = folder / path
        if not target.is_file():
            found.append(Difference(path, "missing"))
        elif target.read_bytes() != text.encode():
            found.append(Difference(path, "differs"))
    for target in sorted(folder.rglob("*")):
        path = target.relative_to(folder).as_posix()
        left_behind = {"__pycache__", "node_modules", "dist"} & set(target.relative_to(folder).parts)
        if target.is_file() and path not in files and not left_behind:
            found.append(Difference(path, "not ours"))
    return found


def write(files: Files, folder: Path) -> list[Difference]:
    """Write what differs. A file that is not ours is named and left alone: it may be somebody's work."""
    found = compare(files, folder)
    for difference in found:
        if difference.state != "not ours":
            target = folder / difference.path
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_bytes(files[difference.path].encode())
    return found
