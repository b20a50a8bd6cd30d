"""The numbers by which the mock keeps its promises, as documented, and as a fault may change them. Nothing else."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from prospec.ir import Service

if TYPE_CHECKING:
    from .config import MockConfig

UNLIMITED = 1_000_000
"""The limit that an unlimited mock names in its headers: more than it can serve in a window."""


@dataclass(frozen=True, slots=True)
class Terms:
    limit: int
    """Requests of an account in a window."""
    window_s: float
    queued_share: float
    """The part of its time that a generation is queued, before it is processing."""
    sync_timeout_s: float
    output_lifetime_s: float
    before_put_s: float
    """How long an upload token waits for its bytes."""
    after_put_s: float
    """How long it stands for them."""
    retry_after_s: tuple[float, ...]
    """Waits before each retry of a webhook, counted from the attempt before it."""
    event_delay_s: float = 0.0
    """How long after its end the event of a generation is sent; below 0, before it."""


def terms(service: Service, config: MockConfig) -> Terms:
    """Those of the documentation."""
    return Terms(
        limit=UNLIMITED if config.rate_limit is None else config.rate_limit,
        window_s=60,
        queued_share=0.5,
        sync_timeout_s=service.sync_timeout_s,
        output_lifetime_s=service.output_lifetime_s,
        before_put_s=service.uploads.before_put_s,
        after_put_s=service.uploads.after_put_s,
        retry_after_s=service.webhook.retry_after_s,
    )
