"""What the mock remembers: accounts and their money, generations, uploads, the rate window.

Everything moves by an injected clock and nothing by itself. Here live no I/O, no HTTP and no judging of requests.
"""

from __future__ import annotations

import secrets
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from prospec.ir import Mode, Model, Service, UploadKind

from .config import MockConfig

Clock = Callable[[], float]
"""Seconds since the epoch."""

WINDOW_S = 60
UNLIMITED = 1_000_000
"""The limit that an unlimited mock names in its headers: more than it can serve in a window."""
QUEUED_SHARE = 0.5
"""The part of its time that a generation is queued, before it is processing."""


@dataclass(slots=True, eq=False)
class Account:
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
        self._accounts = {key: Account(config.balance_usd) for key in (config.api_key, config.second_api_key)}
        self._generations: dict[str, Generation] = {}
        self._running: list[Generation] = []
        self._uploads: dict[str, Upload] = {}
        self.now = clock
        self.keys = frozenset(self._accounts)
        self.first = self._accounts[config.api_key]

    def account(self, key: str) -> Account | None:
        return self._accounts.get(key)

    def count(self, account: Account) -> Window:
        """Counts a request, unless the window is used up. Windows are fixed and begin with a request."""
        now = self.now()
        if now >= account.window_ends:
            account.window_ends, account.requests = now + WINDOW_S, 0
        allowed = account.requests < self._limit
        account.requests += allowed
        return Window(allowed, self._limit, self._limit - account.requests, account.window_ends - now)

    def start(
        self, account: Account, id: str, model: Model, mode: Mode, cost: Decimal, *, fails: bool
    ) -> Generation | None:
        """Charges the account and starts a generation; None where the balance does not cover it."""
        if account.balance < cost:
            return None
        account.balance -= cost
        now = self.now()
        generation = Generation(
            id, account, model, mode, cost, fails, now, now + self._lasts_s, download=secrets.token_urlsafe(24)
        )
        self._generations[generation.id] = generation
        self._running.append(generation)
        return generation

    def end(self, generation: Generation) -> None:
        """Ends a generation, once; one that fails is refunded."""
        if generation.ended:
            return
        generation.ended = True
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
