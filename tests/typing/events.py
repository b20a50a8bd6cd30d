"""A user's handler of webhooks: what is told is known by the class of the event. Checked in strict mode, and run."""

from __future__ import annotations

import sys
from decimal import Decimal
from typing import assert_type

from prospo import BadSignature, SignedUrl, webhooks

SECRETS = ["whsec-new", "whsec-old"]


def matched(event: webhooks.Event) -> str:
    match event:
        case webhooks.CompletedEvent():
            assert_type(event, webhooks.CompletedEvent)
            assert_type(event.generation_id, str)
            assert_type(event.output_url, SignedUrl | None)
            assert_type(event.cost_usd, Decimal | None)
            return f"completed {event.cost_usd}"
        case webhooks.FailedEvent(generation_id=id):
            assert_type(id, str)
            return f"failed {id}"
        case _:
            assert_type(event, webhooks.Event)
            assert_type(event.generation_id, str | None)
            return event.event


def tested(event: webhooks.Event) -> str | None:
    if isinstance(event, webhooks.CompletedEvent):
        assert_type(event.duration_ms, float | None)
        return event.output_url
    assert_type(event, webhooks.Event)
    return None


def received(body: bytes, signature: str | None, seen: webhooks.SeenStore) -> str:
    try:
        event = webhooks.unwrap(body, signature, SECRETS, max_age_s=None)
    except BadSignature as bad:
        assert_type(bad.reason, webhooks.Reason)
        return bad.reason
    return matched(event) if seen.is_new(event) else "again"


if __name__ == "__main__":
    store = webhooks.Seen(max_events=10)
    for line in sys.stdin.buffer.read().splitlines():
        print(received(line, webhooks.sign(line, SECRETS[1]), store))
