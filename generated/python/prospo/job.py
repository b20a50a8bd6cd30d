"""What a caller holds on to: a finished generation with its file, and one that is under way. Blocking and asynchronous.

Here lives no decision: each method carries out steps of `operations`.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar

from .answers import Generation
from .exchange import Deadline
from .files import Progress
from .operations import WAIT_S, Look, Operations, Ticket, succeeded

if TYPE_CHECKING:
    from .transport import AsyncTransport, SyncTransport


Wire = TypeVar("Wire")


@dataclass(frozen=True)
class Result(Generation):
    """A generation, and the way to its file."""

    _wire: tuple[Operations, SyncTransport] | None = field(default=None, repr=False, compare=False)

    def download(
        self,
        path: str | os.PathLike[str],
        *,
        timeout_s: float | None = WAIT_S,
        on_progress: Progress | None = None,
    ) -> Path:
        """Save the output under a path, or by its own name in a folder. The file is there whole, or not at all.

        Raises OutputExpired 7 days after the generation, ValueError where there is no output.
        """
        operations, transport = _reached(self._wire)
        return transport.run(operations.download(self.output_url, Path(path), on_progress, Deadline.after(timeout_s)))

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_wire": None}


@dataclass(frozen=True)
class AsyncResult(Generation):
    """A generation, and the way to its file."""

    _wire: tuple[Operations, AsyncTransport] | None = field(default=None, repr=False, compare=False)

    async def download(
        self,
        path: str | os.PathLike[str],
        *,
        timeout_s: float | None = WAIT_S,
        on_progress: Progress | None = None,
    ) -> Path:
        """`Result.download`, asynchronously."""
        operations, transport = _reached(self._wire)
        return await transport.run(
            operations.download(self.output_url, Path(path), on_progress, Deadline.after(timeout_s))
        )

    def __getstate__(self) -> dict[str, Any]:
        return {**self.__dict__, "_wire": None}


class AnyJob:
    """What the two kinds of job have in common: what is known without asking."""

    def __init__(self, operations: Operations, ticket: Ticket) -> None:
        self._operations, self._ticket = operations, ticket

    @property
    def id(self) -> str:
        return self._ticket.generation_id

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.id!r})"

    def checkpoint(self) -> str:
        """As JSON, for `client.job` of another process, after a crash too. It holds no secret."""
        return self._ticket.checkpoint()


class Job(AnyJob):
    """A generation that was submitted."""

    def __init__(self, operations: Operations, transport: SyncTransport, ticket: Ticket) -> None:
        super().__init__(operations, ticket)
        self._transport = transport

    def status(self) -> Result:
        """How it stands now. Raises NotFound, OutputExpired, and what else a free call raises."""
        look = self._operations.look(self._ticket, Deadline(None))
        return result(self._transport.run(look), self._operations, self._transport)

    def wait(self, *, timeout_s: float | None = WAIT_S, on_update: Look | None = None) -> Result:
        """Wait until it is done, well or not. `on_update` is told of every new status. Raises StillRunning."""
        follow = self._operations.follow(self._ticket, Deadline.after(timeout_s), on_update)
        return result(self._transport.run(follow), self._operations, self._transport)

    def result(self, *, timeout_s: float | None = WAIT_S) -> Result:
        """Wait until it is completed. Raises GenerationFailed and StillRunning."""
        done = self.wait(timeout_s=timeout_s)
        succeeded(done)
        return done


class AsyncJob(AnyJob):
    """A generation that was submitted."""

    def __init__(self, operations: Operations, transport: AsyncTransport, ticket: Ticket) -> None:
        super().__init__(operations, ticket)
        self._transport = transport

    async def status(self) -> AsyncResult:
        """How it stands now."""
        look = self._operations.look(self._ticket, Deadline(None))
        return async_result(await self._transport.run(look), self._operations, self._transport)

    async def wait(self, *, timeout_s: float | None = WAIT_S, on_update: Look | None = None) -> AsyncResult:
        """Wait until it is done, well or not. `on_update` is told of every new status. Raises StillRunning."""
        follow = self._operations.follow(self._ticket, Deadline.after(timeout_s), on_update)
        return async_result(await self._transport.run(follow), self._operations, self._transport)

    async def result(self, *, timeout_s: float | None = WAIT_S) -> AsyncResult:
        """Wait until it is completed. Raises GenerationFailed and StillRunning."""
        done = await self.wait(timeout_s=timeout_s)
        succeeded(done)
        return done


def result(generation: Generation, operations: Operations, transport: SyncTransport) -> Result:
    """A generation with the way to its file."""
    return Result(**generation.__dict__, _wire=(operations, transport))


def async_result(generation: Generation, operations: Operations, transport: AsyncTransport) -> AsyncResult:
    """A generation with the way to its file."""
    return AsyncResult(**generation.__dict__, _wire=(operations, transport))


def _reached(wire: Wire | None) -> Wire:
    if wire is None:
        raise ValueError("this result was pickled: ask client.job(generation_id).status() for one that can download")
    return wire
