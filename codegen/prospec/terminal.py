"""How the command line talks: colour or none, data to stdout, the rest to stderr. Here lives nothing to say."""

from __future__ import annotations

import _thread
import os
import signal
import sys
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, Self, TextIO

if TYPE_CHECKING:
    from types import FrameType

    from rich.console import Console, RenderableType
    from rich.progress import Progress

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


def forget_stdout() -> None:
    """Its reader has gone: whatever is still to be written goes nowhere."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


class Interrupts:
    """Ctrl-C and SIGTERM, each a KeyboardInterrupt: never amid what is `whole`, unless they come again. For one thread:
    the main one.

    None is lost: one that arises in a finaliser or a callback of the garbage collector, where Python drops every
    exception, comes again.
    """

    def __init__(self) -> None:
        self._is_open = False
        self._is_held = False
        self._came = False

    def __enter__(self) -> Self:
        self._is_open = True
        self._before = {number: signal.signal(number, self._come) for number in (signal.SIGINT, signal.SIGTERM)}
        self._dropped, sys.unraisablehook = sys.unraisablehook, self._again
        return self

    def __exit__(self, *_: object) -> None:
        self._is_open = False
        sys.unraisablehook = self._dropped
        for number, handler in self._before.items():
            signal.signal(number, handler)

    @contextmanager
    def whole(self) -> Iterator[None]:
        """Within, nothing is interrupted; what came meanwhile is raised at its end."""
        self._is_held = True
        try:
            yield
        finally:
            self._is_held = False
        if self._came:
            raise KeyboardInterrupt

    def _come(self, _number: int, _frame: FrameType | None) -> None:
        if self._is_held and not self._came:
            self._came = True
        else:
            raise KeyboardInterrupt

    def _again(self, dropped: sys.UnraisableHookArgs) -> None:
        if issubclass(dropped.exc_type, KeyboardInterrupt):
            # Later, from elsewhere: here it would be dropped as well.
            threading.Timer(0.02, self._interrupt).start()
        else:
            self._dropped(dropped)

    def _interrupt(self) -> None:
        if self._is_open:
            _thread.interrupt_main()


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


class Gauge:
    """How far a long run is: a bar on a terminal, elsewhere a plain line now and then. To stderr."""

    AFTER_S = 1.0
    """Short runs are over before anybody wonders."""
    EVERY_S = 0.1

    def __init__(self) -> None:
        self._live = sys.stderr.isatty() and coloured(sys.stderr)
        self._beside_data = self._live and sys.stdout.isatty()
        self._started = time.monotonic()
        self._next = self._started + self.AFTER_S
        self._ticker = Ticker()
        self._bar: Progress | None = None

    @property
    def elapsed_s(self) -> float:
        return time.monotonic() - self._started

    def tick(self, line: str, share: float | None) -> None:
        """Show how far it is; `share` of all is done, which is None where nobody knows how much there is."""
        if not self._live:
            self._ticker.tick(line if not share else f"{line}, {share:.0%}, {self._left(share)} left")
        elif time.monotonic() >= self._next:
            self._next = time.monotonic() + self.EVERY_S
            self._bar = self._bar or self._new_bar()
            self._bar.start()
            self._bar.update(self._bar.task_ids[0], description=line, completed=share or 0, total=share and 1)
            self._bar.refresh()

    def aside(self) -> None:
        """Leave the terminal to what is printed next, where both go to one."""
        if self._bar and self._beside_data:
            self._bar.stop()

    def done(self) -> None:
        """Leave a clean line."""
        if self._bar:
            self._bar.stop()

    def _left(self, share: float) -> str:
        left_s = round(self.elapsed_s * (1 - share) / share)
        return f"{left_s} s" if left_s < 100 else f"{left_s // 60} min {left_s % 60} s"

    def _new_bar(self) -> Progress:
        from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

        columns = (TextColumn("{task.description}"), BarColumn(20), TaskProgressColumn(), TimeRemainingColumn())
        bar = Progress(
            *columns,
            console=console(sys.stderr),
            transient=True,
            auto_refresh=False,
            redirect_stdout=False,
            redirect_stderr=False,
        )
        bar.add_task("", total=None)
        return bar
