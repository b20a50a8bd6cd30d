"""How the command line talks: colour or none, data to stdout, the rest to stderr. Here lives nothing to say."""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, TextIO

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

Colour = Literal["auto", "always", "never"]
COLOURS: Mapping[str, Colour] = {"auto": "auto", "always": "always", "never": "never"}
_asked: list[Colour] = ["auto"]


def set_colour(colour: Colour) -> None:
    """What the user asked for on the command line."""
    _asked[:] = [colour]


def coloured(stream: TextIO) -> bool:
    """--color, then NO_COLOR, then FORCE_COLOR (0 and false are off), then whether the stream is a terminal."""
    (asked,) = _asked
    if asked != "auto":
        return asked == "always"
    if os.environ.get("NO_COLOR"):
        return False
    force = os.environ.get("FORCE_COLOR")
    if force:
        return force.lower() not in ("0", "false")
    return stream.isatty() and os.environ.get("TERM") != "dumb"


def console(stream: TextIO) -> Console:
    """A rich console that follows `coloured` and never wraps what another program may read."""
    from rich.console import Console

    class Piped(Console):
        def on_broken_pipe(self) -> None:
            """As everywhere else: the end of the command, and no error."""
            raise BrokenPipeError

    colour = coloured(stream)
    return Piped(
        file=stream,
        force_terminal=colour,
        no_color=not colour,
        color_system="standard" if colour else None,
        highlight=False,
        markup=False,
        emoji=False,
        soft_wrap=not stream.isatty(),
        width=None if stream.isatty() else 120,
    )


class LateConsole:
    """The console of stdout, made when something of it is asked for: what prints plain lines needs no rich."""

    def __getattr__(self, name: str) -> Any:
        return getattr(self._console, name)

    @cached_property
    def _console(self) -> Console:
        return console(sys.stdout)


def paint(*renderables: RenderableType) -> None:
    """Data for people, to stdout."""
    out = console(sys.stdout)
    for renderable in renderables:
        out.print(renderable)


def plain(text: str) -> str:
    """Text of a file or a server, without what a terminal or a workflow's runner would act on.

    GitHub's runner takes a line that begins with `::` for a command, and `##[` anywhere in one.
    """
    shown = "".join(character if character.isprintable() else repr(character)[1:-1] for character in text)
    shown = shown.replace("##[", r"#\x23[")
    return rf"\x3a{shown.lstrip()[1:]}" if shown.lstrip().startswith("::") else shown


def say(message: str, style: Literal["red", "yellow", "green"] | None = None) -> None:
    """One remark, to stderr."""
    codes = {"red": "31", "yellow": "33", "green": "32"}
    if style and coloured(sys.stderr):
        message = f"\033[{codes[style]}m{message}\033[0m"
    sys.stdout.flush()
    print(message, file=sys.stderr, flush=True)


class Ticker:
    """Progress: a line that is rewritten on a terminal, elsewhere a plain line now and then. To stderr."""

    EVERY_S = 10.0

    def __init__(self) -> None:
        self._live = sys.stderr.isatty() and coloured(sys.stderr)
        self._last = time.monotonic()

    def tick(self, line: str) -> None:
        """Show how far it is."""
        now = time.monotonic()
        if self._live and now - self._last >= 0.1:
            self._last = now
            print(f"\r\033[K{line[:100]}", end="", file=sys.stderr, flush=True)
        elif not self._live and now - self._last >= self.EVERY_S:
            self._last = now
            print(line, file=sys.stderr, flush=True)

    def done(self) -> None:
        """Leave a clean line."""
        if self._live:
            print("\r\033[K", end="", file=sys.stderr, flush=True)
