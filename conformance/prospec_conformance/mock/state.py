"""What the mock remembers: accounts and their money, generations, uploads, the rate window.

Everything moves by an injected clock and nothing by itself. Here live no I/O, no HTTP and no judging of requests.
"""

from __future__ import annotations

import secrets
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal

from prospec.ir import Mode, Model, Service, UploadKind

from .clock import Clock
from .config import MockConfig
from .media import Drawing

WINDOW_S = 60
UNLIMITED = 1_000_000
"""The limit that an unlimited mock names in its headers: more than it can serve in a window."""
QUEUED_SHARE = 0.5
"""The part of its time that a generation is queued, before it is processing."""


@dataclass(slots=True, eq=False)
class Account:
    name: str
    balance: Decimal
    window_ends: float = float("-inf")
    requests: int = 0
    """Within the current window."""


@dataclass(frozen=True, slots=True)
class Window:
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
    drawing: Drawing
    """What the output will show."""
    base_url: str
    """Where the caller reached the mock, and so reaches the output."""
    ended: bool = False


@dataclass(slots=True, eq=False)
class Upload:
    token: str
    account: Account
    content_type: str
    max_bytes: int
    expires: float
    done: bool = False


class State:
    """All of it, for two accounts."""

    def __init__(self, service: Service, config: MockConfig, clock: Clock) -> None:
        self._service = service
        self._limit = UNLIMITED if config.rate_limit is None else config.rate_limit
        self._lasts_s = config.processing_s
        self._balance = config.balance_usd
        self.now = clock
        self.first = Account("first", config.balance_usd)
        self.accounts = {each.name: each for each in (self.first, Account("second", config.balance_usd))}
        self._by_key = dict(zip((config.api_key, config.second_api_key), self.accounts.values(), strict=True))
        self.keys = frozenset(self._by_key)
        self.reset()

    def reset(self) -> None:
        """As at the start: no generation, no upload, and the balance that each account started with."""
        self._generations: dict[str, Generation] = {}
        self._running: list[Generation] = []
        self._uploads: dict[str, Upload] = {}
        for account in self.accounts.values():
            account.balance, account.window_ends, account.requests = self._balance, float("-inf"), 0

    def account(self, key: str) -> Account | None:
        return self._by_key.get(key)

    def counts(self) -> dict[str, int]:
        """How many generations there are, by status."""
        return dict(Counter(self.status(each) for each in self._generations.values()))

    def count(self, account: Account) -> Window:
        """Counts a request, unless the window is used up. Windows are fixed and begin with a request."""
        now = self.now()
        if now >= account.window_ends:
            account.window_ends, account.requests = now + WINDOW_S, 0
        allowed = account.requests < self._limit
        account.requests += allowed
        return Window(allowed, self._limit, self._limit - account.requests, account.window_ends - now)

    def start(
        self,
        account: Account,
        id: str,
        model: Model,
        mode: Mode,
        cost: Decimal,
        *,
        drawing: Drawing,
        base_url: str,
        fails: bool,
        lasts_s: float | None = None,
    ) -> Generation | None:
        """Charges the account and starts a generation; None where the balance does not cover it."""
        if account.balance < cost:
            return None
        account.balance -= cost
        now = self.now()
        ends = now + (self._lasts_s if lasts_s is None else lasts_s)
        generation = Generation(
            id,
            account,
            model,
            mode,
            cost,
            fails,
            now,
            ends,
            download=secrets.token_urlsafe(24),
            drawing=drawing,
            base_url=base_url,
        )
        self._generations[generation.id] = generation
        self._running.append(generation)
        return generation

    def end(self, generation: Generation) -> None:
        """Ends a generation, once; one that fails is refunded."""
        if generation.ended:
            return
        generation.ended = True
        if generation in self._running:  # a reset has forgotten it
            self._running.remove(generation)
        if generation.fails:
            generation.account.balance += generation.cost

    def settle(self) -> None:
        """Ends every generation whose time has come."""
        now = self.now()
        for generation in [generation for generation in self._running if generation.ends <= now]:
            self.end(generation)

    def status(self, generation: Generation) -> str:
        if generation.ended:
            return "failed" if generation.fails else "completed"
        queued_until = generation.started + QUEUED_SHARE * (generation.ends - generation.started)
        return "queued" if self.now() < queued_until else "processing"

    def has_expired(self, generation: Generation) -> bool:
        """Whether the output is older than outputs are kept."""
        return generation.ended and self.now() >= generation.ends + self._service.output_lifetime_s

    def output(self, id: str, download: str) -> Generation | None:
        """The generation whose output a signed URL leads to."""
        found = self._generations.get(id)
        if found is None or self.status(found) != "completed":
            return None
        return found if secrets.compare_digest(found.download.encode(), download.encode()) else None

    def generation(self, account: Account, id: str) -> Generation | None:
        found = self._generations.get(id)
        return found if found and found.account is account else None

    def initiate(self, account: Account, kind: UploadKind, content_type: str) -> Upload:
        expires = self.now() + self._service.uploads.before_put_s
        upload = Upload(f"pl-upload-{secrets.token_hex(16)}", account, content_type, kind.max_bytes, expires)
        self._uploads[upload.token] = upload
        return upload

    def upload(self, account: Account, token: str) -> Upload | None:
        """The account's upload of that token, while the token lives."""
        found = self._uploads.get(token)
        return found if found and found.account is account and self.now() < found.expires else None

    def uploaded(self, upload: Upload) -> None:
        upload.done = True
        upload.expires = self.now() + self._service.uploads.after_put_s

    def redeems(self, account: Account, token: str) -> bool:
        """Whether a token stands for a file that this account may use now."""
        upload = self.upload(account, token)
        return upload is not None and upload.done
