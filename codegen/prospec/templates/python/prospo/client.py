"""The clients: `Client`, and `AsyncClient` for asyncio, with the same methods.

Here lives what differs between the two, which is the waiting. Requests, answers, money and errors are `operations`;
the methods of the models (`client.seedance_2_fast.text`) are `typed`, which is generated.
"""

from __future__ import annotations

import asyncio
import copy
import os
import sys
import threading
import warnings
from collections.abc import Iterable, Mapping
from decimal import Decimal
from pathlib import Path
from queue import SimpleQueue
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, Unpack

from .answers import Balance
from .budget import Budget
from .drafting import Options, Order, amount, changed
from .errors import ProspoError, bare
from .exchange import Deadline
from .files import Progress
from .job import AsyncJob, AsyncResult, Job, Result, async_result, result
from .operations import POLL_S, WAIT_S, Operations
from .price import Quote, quote
from .problem import Problem
from .progress import Bar
from .secrecy import Secret, UploadToken
from .transport import AsyncTransport, SyncTransport, endpoint
from .typed import AsyncModels, Models

if TYPE_CHECKING:
    import httpx2

CONCURRENCY = 4
"""How many requests of a batch are under way at once, unless the caller says otherwise."""


class RequestWarning(UserWarning):
    """A request may be refused: it goes against a fact that is inferred or assumed. Each is shown once a client."""


class AnyClient:
    """What the two clients have in common: options, money, and what is not waited for."""

    def __init__(
        self, options: Options, budget_usd: Decimal | float | str | None, poll_s: float, *, is_owner: bool
    ) -> None:
        self._options = changed({}, options)
        self._operations = Operations(Budget(_usd(budget_usd)), poll_s, _Warner())
        self._is_owner = is_owner

    @property
    def budget(self) -> Budget:
        """What was spent, and what is set aside."""
        return self._operations.budget

    def quote(self, *, model: str, params: Mapping[str, Any], mode: str | None = None) -> Quote:
        """What a request would cost. Sends nothing. Raises InvalidRequest."""
        request = _request(model, mode, params)
        del params
        try:
            return quote(request)
        except ProspoError as error:
            del request
            raise bare(error) from None

    def with_options(self, **options: Unpack[Options]) -> Self:
        """The same client with other options: one connection pool, one budget."""
        other = copy.copy(self)
        other._options = changed(self._options, options)
        other._is_owner = False
        return other

    def _deadline(self) -> Deadline:
        return Deadline.after(self._options.get("timeout_s", WAIT_S))

    def _order(self, model: str, mode: str | None, params: Mapping[str, Any], options: Options | None = None) -> Order:
        return Order(_request(model, mode, params), changed(self._options, options or {}))


class Client(AnyClient, Models):
    """The API, blocking. Any number of threads may use one.

    Key and base URL come from PROSPOLABS_API_KEY and PROSPOLABS_BASE_URL where they are not passed. A `http_client` or
    `transport` of httpx2's may be handed in; such a client is yours to close. `budget_usd` is what all requests
    together may cost. `poll_s` is the first pause between two looks at a generation. The options hold for each request.

    Raises NotConfigured without a key.
    """

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        http_client: httpx2.Client | None = None,
        transport: httpx2.BaseTransport | None = None,
        budget_usd: Decimal | float | str | None = None,
        poll_s: float = POLL_S,
        **options: Unpack[Options],
    ) -> None:
        key = None if api_key is None else Secret(api_key)
        del api_key  # a traceback of what follows would show it
        target = endpoint(key, base_url)
        super().__init__(options, budget_usd, poll_s, is_owner=http_client is None)
        self._transport = SyncTransport.over(target, http_client, transport)

    def generate(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> Result:
        """Run a model and wait for the result. Without `mode` it is the model's first.

        Raises InvalidRequest, OverBudget, FileRefused, NotSent, Refused, OutcomeUnknown, GenerationFailed,
        StillRunning.
        """
        order = self._order(model, mode, params, options)
        del params, options  # no traceback shows what they hold
        return self._generate(order)

    def submit(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> Job:
        """Start a model and wait for nothing. Raises what `generate` does, but for the last two."""
        order = self._order(model, mode, params, options)
        del params, options
        return self._submit(order)

    def job(self, text: str) -> Job:
        """A generation that was submitted before, by its id or its checkpoint. Raises ValueError for neither."""
        return Job(self._operations, self._transport, self._operations.resumed(text))

    def unfinished(self) -> list[Job]:
        """What this client knows to be accepted and has not seen done, such as after Ctrl-C within a batch."""
        return [Job(self._operations, self._transport, ticket) for ticket in self._operations.unfinished()]

    def batch(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = CONCURRENCY,
        budget_usd: Decimal | float | str | None = None,
        progress: bool = False,
        **options: Unpack[Options],
    ) -> list[Result | ProspoError]:
        """Run many requests (`{"model", "mode", "params"}`), so many at once, and wait for all of them.

        The list has a result or an error for each request, in their order: one that fails ends no other. `progress`
        shows a bar on a terminal, and elsewhere a line now and then. Ctrl-C starts none any more, and waits for none:
        `unfinished` has those that were accepted, `budget.held_usd` counts those of unknown outcome, too.
        """
        orders = [Order(request, changed(self._options, options)) for request in requests]
        budget = Budget(_usd(budget_usd), within=self.budget)
        del requests, options
        todo, ended = iter(enumerate(orders)), SimpleQueue[tuple[int, Result | BaseException]]()
        lock, stop = threading.Lock(), threading.Event()

        def work() -> None:
            while not stop.is_set():
                with lock:
                    index, order = next(todo, (-1, None))
                if order is None:
                    return
                try:
                    ended.put((index, self._generate(order, budget, stop)))
                except BaseException as error:
                    ended.put((index, error))

        outcomes: dict[int, Result | ProspoError] = {}
        with Bar(len(orders) if progress else None) as bar:
            try:
                # Threads of a pool would be waited for at the end of the program.
                for _ in range(min(max(1, concurrency), len(orders))):
                    threading.Thread(target=work, name="prospo batch", daemon=True).start()
                for _ in orders:
                    index, outcome = ended.get()
                    if not isinstance(outcome, Result | ProspoError):
                        raise outcome
                    outcomes[index] = outcome
                    bar.step()
            finally:
                stop.set()
        return [outcomes[index] for index in range(len(orders))]

    def upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        content_type: str | None = None,
        on_progress: Progress | None = None,
    ) -> UploadToken:
        """Send a file, by its path or open in binary; its token stands in any media param for 24 hours.

        The type is that of the content. Raises FileRefused before a byte is sent for a type or size that is not taken.
        """
        return self._transport.run(self._operations.upload(source, content_type, on_progress, self._deadline()))

    def balance(self) -> Balance:
        """What is left to spend."""
        return self._transport.run(self._operations.balance(self._deadline()))

    def close(self) -> None:
        """Close the connections, unless they are somebody else's."""
        if self._is_owner:
            self._transport.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def _generate(self, order: Order, budget: Budget | None = None, stop: threading.Event | None = None) -> Result:
        generation = self._transport.run(self._operations.generate(order, budget or self.budget), stop)
        return result(generation, self._operations, self._transport)

    def _submit(self, order: Order) -> Job:
        ticket = self._transport.run(self._operations.submit(order, self.budget))
        return Job(self._operations, self._transport, ticket)


class AsyncClient(AnyClient, AsyncModels):
    """The API within asyncio. As `Client`; a task that is cancelled ends its call at once."""

    def __init__(
        self,
        api_key: str | None = None,
        base_url: str | None = None,
        *,
        http_client: httpx2.AsyncClient | None = None,
        transport: httpx2.AsyncBaseTransport | None = None,
        budget_usd: Decimal | float | str | None = None,
        poll_s: float = POLL_S,
        **options: Unpack[Options],
    ) -> None:
        key = None if api_key is None else Secret(api_key)
        del api_key  # a traceback of what follows would show it
        target = endpoint(key, base_url)
        super().__init__(options, budget_usd, poll_s, is_owner=http_client is None)
        self._transport = AsyncTransport.over(target, http_client, transport)

    async def generate(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> AsyncResult:
        """`Client.generate`, asynchronously."""
        order = self._order(model, mode, params, options)
        del params, options
        return await self._generate(order)

    async def submit(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> AsyncJob:
        """`Client.submit`, asynchronously."""
        order = self._order(model, mode, params, options)
        del params, options
        return await self._submit(order)

    def job(self, text: str) -> AsyncJob:
        """A generation that was submitted before, by its id or its checkpoint. Raises ValueError for neither."""
        return AsyncJob(self._operations, self._transport, self._operations.resumed(text))

    def unfinished(self) -> list[AsyncJob]:
        """What this client knows to be accepted and has not seen done, such as after a batch that was cancelled."""
        return [AsyncJob(self._operations, self._transport, ticket) for ticket in self._operations.unfinished()]

    async def batch(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = CONCURRENCY,
        budget_usd: Decimal | float | str | None = None,
        progress: bool = False,
        **options: Unpack[Options],
    ) -> list[AsyncResult | ProspoError]:
        """`Client.batch`, asynchronously. Being cancelled does what Ctrl-C does there."""
        orders = [Order(request, changed(self._options, options)) for request in requests]
        budget, free = Budget(_usd(budget_usd), within=self.budget), asyncio.Semaphore(max(1, concurrency))
        del requests, options
        with Bar(len(orders) if progress else None) as bar:

            async def run(order: Order) -> AsyncResult | ProspoError:
                async with free:
                    try:
                        return await self._generate(order, budget)
                    except ProspoError as error:
                        return error
                    finally:
                        bar.step()

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run(order)) for order in orders]
            return [task.result() for task in tasks]

    async def upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        content_type: str | None = None,
        on_progress: Progress | None = None,
    ) -> UploadToken:
        """`Client.upload`, asynchronously."""
        return await self._transport.run(self._operations.upload(source, content_type, on_progress, self._deadline()))

    async def balance(self) -> Balance:
        """What is left to spend."""
        return await self._transport.run(self._operations.balance(self._deadline()))

    async def close(self) -> None:
        """Close the connections, unless they are somebody else's."""
        if self._is_owner:
            await self._transport.close()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        await self.close()

    async def _generate(self, order: Order, budget: Budget | None = None) -> AsyncResult:
        generation = await self._transport.run(self._operations.generate(order, budget or self.budget))
        return async_result(generation, self._operations, self._transport)

    async def _submit(self, order: Order) -> AsyncJob:
        ticket = await self._transport.run(self._operations.submit(order, self.budget))
        return AsyncJob(self._operations, self._transport, ticket)


def _request(model: str, mode: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """The request that a caller means: nothing is filled in."""
    return {"model": model, **({} if mode is None else {"mode": mode}), "params": params}


def _usd(value: Decimal | float | str | None) -> Decimal | None:
    return None if value is None else amount(value)


class _Warner:
    """Shows each warning once, at the line of the caller's that made the request."""

    def __init__(self) -> None:
        self._shown: set[str] = set()
        self._lock = threading.Lock()

    def __call__(self, problem: Problem) -> None:
        text = f"{problem.path}: {problem.message}{f' ({problem.hint})' if problem.hint else ''}"
        with self._lock:
            if text in self._shown:
                return
            self._shown.add(text)
        level = 1
        frame: FrameType | None = sys._getframe()
        while frame is not None and Path(frame.f_code.co_filename).parent == _HERE:
            level, frame = level + 1, frame.f_back
        warnings.warn(text, RequestWarning, stacklevel=level)


_HERE = Path(__file__).parent
