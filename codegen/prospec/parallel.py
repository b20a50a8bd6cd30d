"""Applies a function to many items, in several processes; the results keep the order. Here lives no such function."""

from __future__ import annotations

import os
import pickle
import signal
import sys
from collections import deque
from collections.abc import Callable, Generator, Iterable, Iterator
from contextlib import contextmanager
from itertools import count, islice
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from multiprocessing.connection import Connection
    from multiprocessing.process import BaseProcess

Item = TypeVar("Item")
Result = TypeVar("Result")
ALONE = 16
"""Items that are done without help, where nobody said how many processes there should be: starting them takes time."""
AHEAD = 4
"""Items that each process has been given and whose results nobody has taken."""
SLOT_BYTES = 1 << 21
"""Of shared memory, which an item's out-of-band buffers take if they find room there. A pipe is slower."""
SMALL_BYTES = 1 << 14
"""What a pipe takes though nobody reads it."""


class ProcessDiedError(RuntimeError):
    """A process was ended from outside, as by a system that is out of memory. What it was at is not done."""


def in_order(
    function: Callable[[Item], Result], items: Iterable[Item], jobs: int | None
) -> Generator[Result, None, None]:
    """The results, as many items being held as keep `jobs` processes busy; None is a process a core.

    The first items are done here, and what the function learns from them the other processes know where they are
    forks. Close it to end the processes before the items end. Raises ProcessDiedError.
    """
    rest = iter(items)
    yield from map(function, islice(rest, ALONE if jobs is None else 1))
    jobs = jobs or _cores()
    if jobs == 1:
        yield from map(function, rest)
        return
    for first in rest:
        yield from _shared(function, first, rest, jobs)


def _shared(function: Callable[[Item], Result], first: Item, rest: Iterator[Item], jobs: int) -> Iterator[Result]:
    """Each process gets every so-and-so-manieth item, so that nobody needs to ask whose result is next."""
    from multiprocessing import get_context

    # Elsewhere, forks are not safe.
    context: Any = get_context("fork" if sys.platform == "linux" else None)
    memory = context.RawArray("B", jobs * AHEAD * SLOT_BYTES)
    slots = memoryview(memory).cast("B")
    workers: list[_Worker] = []
    waiting: deque[_Worker] = deque()
    try:
        for _ in range(jobs):
            workers.append(_Worker(context, function, memory))
            workers[-1].start()
        for number in count():
            item = first if number == 0 else next(rest, _END)
            if item is _END:
                break
            if len(waiting) == jobs * AHEAD:
                yield waiting.popleft().result()
            # Whatever was in the slot before is done: its result was the one that was just taken.
            packed = _packed(item, slots, number % (jobs * AHEAD) * SLOT_BYTES)
            while waiting and len(packed) > SMALL_BYTES:  # or both ends might wait for the other one to read
                yield waiting.popleft().result()
            workers[number % jobs].give(packed)
            waiting.append(workers[number % jobs])
        while waiting:
            yield waiting.popleft().result()
    finally:
        for worker in workers:
            worker.end()


_END: Any = object()


def _packed(item: object, slots: memoryview, start: int) -> bytes:
    """The item as a pickle, with from where to where in the shared memory its buffers are."""
    buffers: list[pickle.PickleBuffer] = []
    pickled = pickle.dumps(item, protocol=5, buffer_callback=buffers.append)
    raw = [buffer.raw() for buffer in buffers]
    places = []
    if sum(each.nbytes for each in raw) > SLOT_BYTES:
        pickled = pickle.dumps(item, protocol=5)
        raw = []
    for each in raw:
        end = start + each.nbytes
        slots[start:end] = each
        places.append((start, end))
        start = end
    return pickle.dumps((pickled, places))


_SIGNALS = (signal.SIGINT, signal.SIGTERM)


@contextmanager
def _without_signals() -> Iterator[None]:
    """Those that come meanwhile come afterwards. A process that is started inherits this, until it knows what to do."""
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, _SIGNALS)
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


class _Worker:
    """One of the processes, from the side of the one that starts it."""

    def __init__(self, context: Any, function: Callable[[Any], Any], memory: Any) -> None:
        self._connection, self._theirs = context.Pipe()
        arguments = (self._theirs, function, memory)
        self._process: BaseProcess = context.Process(target=_serve, args=arguments, daemon=True)

    def start(self) -> None:
        with _without_signals():
            self._process.start()
        self._theirs.close()

    def give(self, packed: bytes) -> None:
        try:
            self._connection.send_bytes(packed)
        except OSError:
            raise ProcessDiedError("a process was ended from outside") from None

    def result(self) -> Any:
        """Of the first item whose result was not taken. Raises what the function has raised."""
        try:
            value, error = self._connection.recv()
        except (EOFError, OSError):
            raise ProcessDiedError("a process was ended from outside") from None
        if error is not None:
            raise error
        return value

    def end(self) -> None:
        if self._process.pid is not None:
            self._process.kill()  # it has nothing to tidy up
            self._process.join()
        self._connection.close()


def _serve(connection: Connection, function: Callable[[Any], Any], memory: Any) -> None:
    """In a process of its own: only the one that started it hears of Ctrl-C, and without that one it ends."""
    from multiprocessing import parent_process
    from threading import Thread

    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGTERM, signal.SIG_DFL)
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(signal.SIG_UNBLOCK, _SIGNALS)
    parent = parent_process()

    def watch() -> None:
        if parent:
            parent.join()
            os._exit(1)

    Thread(target=watch, daemon=True).start()
    slots = memoryview(memory).cast("B")
    while True:
        pickled, places = pickle.loads(connection.recv_bytes())  # noqa: S301 - from the process that started this one
        buffers = [bytes(slots[start:end]) for start, end in places]
        value, error = None, None
        try:
            value = function(pickle.loads(pickled, buffers=buffers))  # noqa: S301
        except Exception as raised:
            error = raised
        connection.send((value, error))


def _cores() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
