"""Node.js for tests: a folder's packages as its lock file says, and the npm package built. Here live no tests."""

from __future__ import annotations

import fcntl
import hashlib
import os
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

from machine import lacking

ROOT = Path(__file__).parents[1]
PACKAGE = ROOT / "generated" / "typescript"
TOOLS = Path(__file__).parent / "typescript"
"""What builds the package, and what examines it."""
OLDEST = (20, 19)


@cache
def node() -> str:
    """The path of Node.js, as new as the oldest tool needs it."""
    path = shutil.which("node") or shutil.which("nodejs")
    if path is None:
        lacking("Node.js is not installed")
    version = subprocess.run([path, "--version"], capture_output=True, text=True, check=True).stdout.strip()
    if tuple(int(part) for part in version.removeprefix("v").split(".")[:2]) < OLDEST:
        lacking(f"Node.js {version} is installed, older than {'.'.join(map(str, OLDEST))}")
    return path


@cache
def npm() -> str:
    """The path of npm."""
    return shutil.which("npm") or lacking("npm is not installed")


def environment() -> dict[str, str]:
    """That of this process, in which a script that asks for node finds the one above."""
    return {**os.environ, "PATH": f"{Path(node()).parent}{os.pathsep}{os.environ['PATH']}"}


@cache
def installed(folder: Path) -> Path:
    """node_modules of a folder, as its lock file says. They are kept: they come over the network."""
    modules = folder / "node_modules"
    made_of = (folder / name for name in ("package.json", "package-lock.json", ".npmrc"))
    with _made_once(modules / ".made-of", [*made_of], alone=folder / "package-lock.json") as is_current:
        if not is_current:
            command = [npm(), "ci", "--no-progress", "--loglevel=error"]
            options = {"cwd": folder, "env": environment(), "capture_output": True, "text": True, "timeout": 480}
            done = subprocess.run(command, **options, check=False)
            if done.returncode:
                lacking(f"npm ci failed, {done.stderr.strip()[-500:]}")
    return modules


@cache
def built() -> Path:
    """generated/typescript, with what tsc makes of it in dist/."""
    modules = installed(TOOLS)
    made_of = [PACKAGE / "tsconfig.json", modules / ".made-of", *sorted((PACKAGE / "src").rglob("*.ts"))]
    with _made_once(modules / ".prospo-made-of", made_of, alone=PACKAGE / "tsconfig.json") as is_current:
        if not is_current or not (PACKAGE / "dist" / "index.js").is_file():
            shutil.rmtree(PACKAGE / "dist", ignore_errors=True)
            command = [node(), modules / "typescript" / "bin" / "tsc", "--project", PACKAGE]
            done = subprocess.run(command, capture_output=True, text=True, check=False)
            assert done.returncode == 0, done.stdout
    return PACKAGE


@contextmanager
def _made_once(stamp: Path, made_of: list[Path], *, alone: Path) -> Iterator[bool]:
    """Whether what the stamp speaks of is made of those files as they are now; if not, it is stamped anew afterwards.

    One process at a time: pytest-xdist runs several.
    """
    with alone.open("rb") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        parts = (part for path in made_of for part in (str(path).encode(), path.read_bytes()))
        digest = hashlib.sha256(b"\0".join(parts)).hexdigest()
        is_current = stamp.is_file() and stamp.read_text() == digest
        yield is_current
        if not is_current:
            stamp.write_text(digest)
