"""Compares the files of a target with a folder, and writes them there. The only code that touches generated/."""

from __future__ import annotations

import errno
import os
from collections.abc import Collection, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from .emit import Files

LEFT_BEHIND = frozenset({"__pycache__", "node_modules", "dist"})
"""What Python and package managers leave in a folder: it does not count."""


@dataclass(frozen=True, slots=True)
class Difference:
    """One file that is not as it should be, or, after writing, that was not."""

    path: str
    state: Literal["missing", "differs", "unreadable", "not ours"]


def compare(files: Files, folder: Path) -> list[Difference]:
    """What differs from `files` in `folder`. What Python and package managers leave behind does not count.

    A link differs from a file, whatever it leads to, and is not followed. A folder is nothing but what it holds.
    """
    found = []
    for path, text in files.items():
        target = folder / path
        try:
            if target.is_symlink():
                found.append(Difference(path, "differs"))
            elif not target.is_file() or _link_above(target, folder):
                found.append(Difference(path, "missing"))
            elif target.read_bytes() != text.encode():
                found.append(Difference(path, "differs"))
        except OSError:
            found.append(Difference(path, "unreadable"))
    found += [Difference(path, "not ours") for path in _everything(folder) if path not in files]
    return found


def strays(out: Path, targets: Collection[str]) -> list[Difference]:
    """What lies in the folder of the targets' folders and in none of them."""
    if not out.is_dir():
        return []
    found = []
    for entry in sorted(out.iterdir()):
        if entry.name in LEFT_BEHIND or (entry.name in targets and entry.is_dir()):
            continue
        inside = [f"{entry.name}/{path}" for path in _everything(entry)]
        found += inside if entry.is_dir() and not entry.is_symlink() else [entry.name]
    return [Difference(path, "not ours") for path in found]


def write(files: Files, folder: Path) -> list[Difference]:
    """Write what differs. A file that is not ours is named and left alone: it may be somebody's work.

    A link in the place of a file is replaced. Through one in the place of a folder nothing is written: OSError.
    """
    found = compare(files, folder)
    for difference in found:
        if difference.state != "not ours":
            target = folder / difference.path
            if link := _link_above(target, folder):
                raise OSError(errno.ENOTDIR, "a link, expected a folder", str(link))
            target.parent.mkdir(parents=True, exist_ok=True)
            if os.path.lexists(target) and (target.is_symlink() or not (target.is_file() or target.is_dir())):
                target.unlink()
            target.write_bytes(files[difference.path].encode())
    return found


def _link_above(target: Path, folder: Path) -> Path | None:
    """The link between a folder and what is in it, if there is one."""
    above = target.relative_to(folder).parents
    return next((folder / parent for parent in above if parent.name and (folder / parent).is_symlink()), None)


def _everything(folder: Path) -> Iterator[str]:
    """Whatever is no folder below a folder, links to folders included, in the order of the names."""
    if not folder.is_dir() or folder.name in LEFT_BEHIND:
        return
    for entry in sorted(folder.iterdir()):
        if entry.name in LEFT_BEHIND:
            continue
        if entry.is_dir() and not entry.is_symlink():
            yield from (f"{entry.name}/{path}" for path in _everything(entry))
        else:
            yield entry.name
