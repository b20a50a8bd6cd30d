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
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path
from types import FrameType, TracebackType
from typing import TYPE_CHECKING, Any, BinaryIO, Self, Unpack

from .answers import Balance
from .budget import Budget
from .drafting import Options, amount, changed
from .errors import ProspoError
from .files import Progress
from .job import AsyncJob, AsyncResult, Job, Result, async_result, result
from .operations import POLL_S, Operations
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


class Client(Models):
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
        self._options = changed({}, options)
        self._operations = _operations(budget_usd, poll_s)
        self._is_owner = http_client is None
        self._transport = SyncTransport.over(target, http_client, transport)

    def generate(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> Result:
        """Run a model and wait for the result. Without `mode` it is the model's first.

        Raises InvalidRequest, OverBudget, FileRefused, NotSent, Refused, OutcomeUnknown, GenerationFailed,
        StillRunning.
        """
        return self._generate(_request(model, mode, params), changed(self._options, options), self.budget)

    def submit(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> Job:
        """Start a model and wait for nothing. Raises what `generate` does, but for the last two."""
        steps = self._operations.submit(_request(model, mode, params), changed(self._options, options), self.budget)
        return Job(self._operations, self._transport, self._transport.run(steps))

    def job(self, text: str) -> Job:
        """A generation that was submitted before, by its id or its checkpoint. Raises ValueError for neither."""
        return Job(self._operations, self._transport, self._operations.resumed(text))

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
        shows a bar on a terminal.
        """
        chosen, budget = changed(self._options, options), Budget(_usd(budget_usd), within=self.budget)
        todo = list(requests)
        with Bar(len(todo) if progress else None) as bar, ThreadPoolExecutor(max(1, concurrency)) as threads:

            def run(request: Mapping[str, Any]) -> Result | ProspoError:
                try:
                    return self._generate(request, chosen, budget)
                except ProspoError as error:
                    return error
                finally:
                    bar.step()

            return list(threads.map(run, todo))

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
        return self._transport.run(self._operations.upload(source, content_type, on_progress))

    def balance(self) -> Balance:
        """What is left to spend."""
        return self._transport.run(self._operations.balance())

    def quote(self, *, model: str, params: Mapping[str, Any], mode: str | None = None) -> Quote:
        """What a request would cost. Sends nothing. Raises InvalidRequest."""
        return quote(_request(model, mode, params))

    @property
    def budget(self) -> Budget:
        """What was spent, and what is set aside."""
        return self._operations.budget

    def with_options(self, **options: Unpack[Options]) -> Self:
        """The same client with other options: one connection pool, one budget."""
        other = copy.copy(self)
        other._options = changed(self._options, options)
        other._is_owner = False
        return other

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

    def _generate(self, request: Mapping[str, Any], options: Options, budget: Budget) -> Result:
        steps = self._operations.generate(request, options, budget)
        return result(self._transport.run(steps), self._operations, self._transport)


class AsyncClient(AsyncModels):
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
        self._options = changed({}, options)
        self._operations = _operations(budget_usd, poll_s)
        self._is_owner = http_client is None
        self._transport = AsyncTransport.over(target, http_client, transport)

    async def generate(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> AsyncResult:
        """`Client.generate`, asynchronously."""
        return await self._generate(_request(model, mode, params), changed(self._options, options), self.budget)

    async def submit(
        self, *, model: str, params: Mapping[str, Any], mode: str | None = None, **options: Unpack[Options]
    ) -> AsyncJob:
        """`Client.submit`, asynchronously."""
        steps = self._operations.submit(_request(model, mode, params), changed(self._options, options), self.budget)
        return AsyncJob(self._operations, self._transport, await self._transport.run(steps))

    def job(self, text: str) -> AsyncJob:
        """A generation that was submitted before, by its id or its checkpoint. Raises ValueError for neither."""
        return AsyncJob(self._operations, self._transport, self._operations.resumed(text))

    async def batch(
        self,
        requests: Iterable[Mapping[str, Any]],
        *,
        concurrency: int = CONCURRENCY,
        budget_usd: Decimal | float | str | None = None,
        progress: bool = False,
        **options: Unpack[Options],
    ) -> list[AsyncResult | ProspoError]:
        """`Client.batch`, asynchronously."""
        chosen, budget = changed(self._options, options), Budget(_usd(budget_usd), within=self.budget)
        todo, free = list(requests), asyncio.Semaphore(max(1, concurrency))
        with Bar(len(todo) if progress else None) as bar:

            async def run(request: Mapping[str, Any]) -> AsyncResult | ProspoError:
                async with free:
                    try:
                        return await self._generate(request, chosen, budget)
                    except ProspoError as error:
                        return error
                    finally:
                        bar.step()

            async with asyncio.TaskGroup() as group:
                tasks = [group.create_task(run(request)) for request in todo]
            return [task.result() for task in tasks]

    async def upload(
        self,
        source: str | os.PathLike[str] | BinaryIO,
        *,
        content_type: str | None = None,
        on_progress: Progress | None = None,
    ) -> UploadToken:
        """`Client.upload`, asynchronously."""
        return await self._transport.run(self._operations.upload(source, content_type, on_progress))

    async def balance(self) -> Balance:
        """What is left to spend."""
        return await self._transport.run(self._operations.balance())

    def quote(self, *, model: str, params: Mapping[str, Any], mode: str | None = None) -> Quote:
        """What a request would cost. Sends nothing. Raises InvalidRequest."""
        return quote(_request(model, mode, params))

    @property
    def budget(self) -> Budget:
        """What was spent, and what is set aside."""
        return self._operations.budget

    def with_options(self, **options: Unpack[Options]) -> Self:
        """The same client with other options: one connection pool, one budget."""
        other = copy.copy(self)
        other._options = changed(self._options, options)
        other._is_owner = False
        return other

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

    async def _generate(self, request: Mapping[str, Any], options: Options, budget: Budget) -> AsyncResult:
        steps = self._operations.generate(request, options, budget)
        return async_result(await self._transport.run(steps), self._operations, self._transport)


def _request(model: str, mode: str | None, params: Mapping[str, Any]) -> dict[str, Any]:
    """The request that a caller means: nothing is filled in."""
    return {"model": model, **({} if mode is None else {"mode": mode}), "params": params}


def _operations(budget_usd: Decimal | float | str | None, poll_s: float) -> Operations:
    return Operations(Budget(_usd(budget_usd)), poll_s, _Warner())


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
