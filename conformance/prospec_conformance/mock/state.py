"""What the mock remembers: accounts and their money, generations, uploads, the rate window, webhooks on their way.

Everything moves by an injected clock and nothing by itself. Here live no I/O but the keeping, no HTTP and no judging of
requests.
"""

from __future__ import annotations

import heapq
import itertools
import secrets
from collections import Counter, deque
from collections.abc import Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import TYPE_CHECKING, Any, Literal, NamedTuple
from urllib.parse import urlsplit

from prospec.ir import Mode, Model, Spec

from .changes import Change
from .clock import SteerableClock
from .media import Drawing, drawing
from .names import Names
from .outcomes import Telling
from .terms import Terms

if TYPE_CHECKING:
    from .config import MockConfig
    from .store import Store

DELIVERIES_KEPT = 1_000
"""Deliveries that are remembered once they are over; older ones are forgotten."""

DeliveryState = Literal["waiting", "pending", "delivered", "failed", "refused", "withheld"]


@dataclass(slots=True, eq=False)
class Account:
    name: str
    balance: Decimal
    window_ends: float = 0.0
    requests: int = 0
    """Within the current window."""


class Window(NamedTuple):
    """One request's place in its account's rate window."""

    allowed: bool
    limit: int
    remaining: int
    reset_s: float


@dataclass(slots=True, eq=False)
class Generation:
    id: str
    account: Account
    model: Model
    mode: Mode
    cost: Decimal
    fails: bool
    started: float
    ends: float
    download: str
    """What the output's URL is signed with."""
    params: Mapping[str, Any]
    base_url: str
    """Where the caller reached the mock, and so reaches the output."""
    ended: bool = False

    @property
    def drawing(self) -> Drawing:
        """What the output shows."""
        return drawing(self.model, self.mode, self.params)


@dataclass(slots=True, eq=False)
class Upload:
    token: str
    account: Account
    content_type: str
    max_bytes: int
    expires: float
    done: bool = False


@dataclass(slots=True)
class Attempt:
    at: float
    status: int | None = None
    """None while no answer has come, and if none ever does."""


@dataclass(slots=True, eq=False)
class Delivery:
    """The event of one generation, to one receiver."""

    generation: Generation
    url: str
    telling: Telling
    due: float
    """When its next step is: the end of the generation, then each attempt."""
    state: DeliveryState = "waiting"
    """waiting (for the end), pending, delivered, failed (after the last retry), refused (the receiver may not be
    called) or withheld (as the request asked)."""
    number: int = 0
    """In the order of the events; 0 while there is none."""
    body: bytes = b""
    """The exact bytes that are signed."""
    climbed: int = 0
    """Attempts since the ladder was last begun."""
    attempts: list[Attempt] = field(default_factory=list)

    @property
    def is_open(self) -> bool:
        return self.state in ("waiting", "pending")

    @property
    def receiver(self) -> str:
        """The URL without what may be a secret in it: user, query and fragment."""
        try:
            parts = urlsplit(self.url)
            return f"{parts.scheme}://{parts.hostname or ''}{f':{parts.port}' if parts.port else ''}{parts.path}"
        except ValueError:
            return "no URL"


Entity = Account | Generation | Upload | Delivery


@dataclass(frozen=True, slots=True)
class Changed:
    """What one write makes true, all of it or nothing."""

    entities: tuple[Entity, ...]
    forgotten: tuple[Delivery, ...]
    ahead_s: float
    """How far the clock was moved."""
    counts: Mapping[str, int]


@dataclass(frozen=True, slots=True)
class Kept:
    """What was kept by an earlier process."""

    generations: tuple[Generation, ...]
    uploads: tuple[Upload, ...]
    deliveries: tuple[Delivery, ...]
    """In the order of their numbers."""
    ahead_s: float
    counts: Mapping[str, int]


class StoreError(ValueError):
    """A file that cannot keep the state. The message says which, and why."""


class State:
    """All of it, for two accounts.

    What a method changes is kept by the next `keep`, all of it or nothing: with a store it outlives the process.
    """

    def __init__(
        self,
        spec: Spec,
        config: MockConfig,
        terms: Terms,
        change: Change,
        clock: SteerableClock,
        store: Store | None = None,
    ) -> None:
        self._terms = terms
        self._change = change
        self._balance = config.balance_usd
        self._store = store
        self._order = itertools.count()
        self.now = clock
        self.counts: Counter[str] = Counter()
        """How often what: names given, by kind, and whatever else is counted over the life of the state."""
        first = {"generation": config.generation_ids, "upload": config.upload_tokens}
        self.names = Names(self.counts, config.seed, first)
        self.first = Account("first", config.balance_usd)
        self.accounts = {each.name: each for each in (self.first, Account("second", config.balance_usd))}
        self._by_key = dict(zip((config.api_key, config.second_api_key), self.accounts.values(), strict=True))
        self.keys = frozenset(self._by_key)
        self._forget()
        if store is not None:
            self._restore(store, spec)

    def _forget(self) -> None:
        self._generations: dict[str, Generation] = {}
        self._running: list[tuple[float, int, Generation]] = []
        """A heap of those that may not have ended, by when they will."""
        self._uploads: dict[str, Upload] = {}
        self._deliveries: dict[str, Delivery] = {}
        """By the id of the generation."""
        self._over: deque[Delivery] = deque()
        """Those that are not open any more."""
        self._told = 0
        self._changed: dict[int, Entity] = {}
        self._forgotten: list[Delivery] = []

    def _restore(self, store: Store, spec: Spec) -> None:
        kept = store.read(spec, self.accounts)
        self.now.ahead_s = kept.ahead_s
        self.counts.update(kept.counts)
        for generation in kept.generations:
            self._add(generation)
        self._uploads = {each.token: each for each in kept.uploads}
        self._deliveries = {each.generation.id: each for each in kept.deliveries}
        self._over.extend(each for each in kept.deliveries if not each.is_open)
        self._told = max((each.number for each in kept.deliveries), default=0)

    def keep(self) -> None:
        """Keeps what has changed since the last time."""
        if self._store is not None:
            changed = Changed(tuple(self._changed.values()), tuple(self._forgotten), self.now.ahead_s, self.counts)
            self._store.write(changed)
            self._changed, self._forgotten = {}, []

    def touch(self, entity: Entity) -> None:
        """Says that an entity has changed."""
        if self._store is not None:
            self._changed[id(entity)] = entity

    def reset(self) -> None:
        """As at the start: no generation, no upload, and the balance that each account started with."""
        self._forget()
        self.counts.clear()
        if self._store is not None:
            self._store.clear()
        for account in self.accounts.values():
            account.balance, account.window_ends, account.requests = self._balance, 0.0, 0
            self.touch(account)

    # Accounts

    def account(self, key: str) -> Account | None:
        return self._by_key.get(key)

    def set_balance(self, account: Account, balance: Decimal) -> None:
        account.balance = balance
        self.touch(account)

    def count(self, account: Account) -> Window:
        """Counts a request, unless the window is used up. Windows are fixed and begin with a request."""
        now = self.now()
        if now >= account.window_ends:
            account.window_ends, account.requests = now + self._terms.window_s, 0
        allowed = account.requests < self._terms.limit
        account.requests += allowed
        self.touch(account)
        return Window(allowed, self._terms.limit, self._terms.limit - account.requests, account.window_ends - now)

    # Generations

    def statuses(self) -> dict[str, int]:
        """How many generations there are, by status."""
        return dict(Counter(self.status(each) for each in self._generations.values()))

    def start(
        self,
        account: Account,
        id: str,
        model: Model,
        mode: Mode,
        cost: Decimal,
        *,
        params: Mapping[str, Any],
        base_url: str,
        fails: bool,
        lasts_s: float,
    ) -> Generation | None:
        """Charges the account and starts a generation; None where the balance does not cover it."""
        if not self._change.affords(account.balance, cost, account.balance >= cost):
            return None
        account.balance -= self._change.charge(cost)
        now = self.now()
        ends = now + lasts_s
        download = self.names.fresh("download", "", 16)
        generation = Generation(
            id, account, model, mode, cost, fails, now, ends, download=download, params=params, base_url=base_url
        )
        self._add(generation)
        self.touch(account)
        self.touch(generation)
        return generation

    def _add(self, generation: Generation) -> None:
        self._generations[generation.id] = generation
        if not generation.ended:
            heapq.heappush(self._running, (generation.ends, next(self._order), generation))

    def end(self, generation: Generation) -> None:
        """Ends a generation, once; one that fails is refunded."""
        if generation.ended:
            return
        generation.ended = True
        self.touch(generation)
        if generation.fails:
            generation.account.balance += self._change.refund(generation.cost)
            self.touch(generation.account)

    def give_up(self, generation: Generation) -> None:
        """Ends a generation before its time, as one that has failed."""
        if not generation.ended:
            generation.fails = True
            self.end(generation)

    def settle(self) -> None:
        """Ends every generation whose time has come."""
        now = self.now()
        while self._running and self._running[0][0] <= now:
            self.end(heapq.heappop(self._running)[2])

    def status(self, generation: Generation) -> str:
        if generation.ended:
            return "failed" if generation.fails else "completed"
        queued_until = generation.started + self._terms.queued_share * (generation.ends - generation.started)
        return "queued" if self.now() < queued_until else "processing"

    def has_expired(self, generation: Generation) -> bool:
        """Whether the output is older than outputs are kept."""
        return generation.ended and self.now() >= generation.ends + self._terms.output_lifetime_s

    def output(self, id: str, download: str) -> Generation | None:
        """The generation whose output a signed URL leads to."""
        found = self._generations.get(id)
        if found is None or self.status(found) != "completed":
            return None
        return found if secrets.compare_digest(found.download.encode(), download.encode()) else None

    def generation(self, account: Account, id: str) -> Generation | None:
        found = self._generations.get(id)
        return found if found and self._change.sees(account, found, found.account is account) else None

    # Uploads

    def initiate(self, account: Account, content_type: str, max_bytes: int) -> Upload:
        expires = self.now() + self._terms.before_put_s
        token = self._change.mint(content_type, self.names.fresh("upload", "pl-upload-", 16))
        upload = Upload(token, account, content_type, max_bytes, expires)
        self._uploads[upload.token] = upload
        self.touch(upload)
        return upload

    def upload(self, token: str) -> Upload | None:
        """The upload of a token, whoever announced it, and also when its time is over."""
        return self._uploads.get(self._change.reads_token(token, self._uploads.keys()))

    def is_open(self, upload: Upload | None, account: Account) -> bool:
        """Whether an account may do something with an upload now."""
        return upload is not None and upload.account is account and self.now() < upload.expires

    def uploaded(self, upload: Upload) -> None:
        upload.done = True
        upload.expires = self._change.token_ends(upload, self.now() + self._terms.after_put_s)
        self.touch(upload)

    # Webhooks

    def expect(self, generation: Generation, url: str, telling: Telling) -> Delivery:
        """The delivery that the end of a generation will bring about."""
        delivery = Delivery(generation, url, telling, generation.ends + self._terms.event_delay_s)
        self._deliveries[generation.id] = delivery
        self.touch(delivery)
        return delivery

    def number(self, delivery: Delivery) -> None:
        """Numbers an event, in the order of their happening."""
        self._told += 1
        delivery.number = self._told
        self.touch(delivery)

    def close(self, delivery: Delivery, state: DeliveryState) -> None:
        """Says how a delivery ended."""
        delivery.state = state
        self.touch(delivery)
        self._over.append(delivery)
        if len(self._over) > DELIVERIES_KEPT:
            forgotten = self._over.popleft()
            self._deliveries.pop(forgotten.generation.id, None)
            self._changed.pop(id(forgotten), None)
            self._forgotten.append(forgotten)

    def open_deliveries(self) -> list[Delivery]:
        return [each for each in self._deliveries.values() if each.is_open]

    def deliveries(self, since: int = 0) -> list[Delivery]:
        """The events with a higher number, in their order."""
        found = [each for each in self._deliveries.values() if each.number > since]
        return sorted(found, key=lambda each: each.number)
