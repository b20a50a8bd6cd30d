"""The mock's own endpoints under /__mock: time, money, what was seen and sent. Behind a token, and no part of the API.

Here lives no behaviour of the API.
"""

from __future__ import annotations

import base64
import hmac
import json
import math
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route

from .clock import SteerableClock
from .journal import Delivery, Journal, Seen, last
from .state import State

PATH = "/__mock"
TOKEN_HEADER = "X-Mock-Token"  # noqa: S105 - the header's name
MOST_S = 3650 * 24 * 3600
"""How far the clock may be moved at once."""
BODY_MAX_BYTES = 65_536

Answered = Callable[[Any, Request], Awaitable[Any]]


class WrongUseError(ValueError):
    """A control request that cannot be carried out. Its message says how it would be right."""


@dataclass(frozen=True, slots=True)
class Control:
    """The endpoints, over what they steer."""

    token: str
    clock: SteerableClock
    state: State
    journal: Journal
    replay: Callable[[Delivery], Awaitable[None]]
    reset: Callable[[], None]
    """Forgets everything but the keys; nothing that was under way goes out any more."""

    def mount(self) -> Mount:
        """All of them, under one path."""
        return Mount(
            PATH,
            routes=[
                Route("/clock", self._endpoint(self._advance), methods=["POST"]),
                Route("/reset", self._endpoint(self._reset), methods=["POST"]),
                Route("/balance", self._endpoint(self._set_balance), methods=["PUT"]),
                Route("/state", self._endpoint(self._show_state), methods=["GET"]),
                Route("/requests", self._endpoint(self._requests), methods=["GET"]),
                Route("/deliveries", self._endpoint(self._deliveries), methods=["GET"]),
                Route("/deliveries/{number:int}/replay", self._endpoint(self._replay), methods=["POST"]),
            ],
        )

    def _endpoint(self, answer: Answered) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            given = request.headers.get(TOKEN_HEADER, "")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return JSONResponse({"detail": f"{TOKEN_HEADER} is missing or wrong: the mock printed it"}, 403)
            try:
                return JSONResponse(await answer(await _body(request), request))
            except WrongUseError as error:
                return JSONResponse({"detail": str(error)}, 400)

        return respond

    async def _advance(self, body: Any, _request: Request) -> Any:
        seconds = body.get("advance_s")
        is_number = isinstance(seconds, int | float) and not isinstance(seconds, bool) and math.isfinite(seconds)
        if not is_number or not 0 <= seconds <= MOST_S:
            raise WrongUseError(f'takes {{"advance_s": SECONDS}}, from 0 to {MOST_S}')
        await self.clock.advance(seconds)
        self.state.settle()
        return {"now_s": self.clock()}

    async def _reset(self, _body: Any, _request: Request) -> Any:
        self.reset()
        return {"reset": True}

    async def _set_balance(self, body: Any, _request: Request) -> Any:
        account = self.state.accounts.get(str(body.get("account", "first")))
        try:
            balance = Decimal(str(body.get("balance_usd")))
        except InvalidOperation:
            balance = Decimal("NaN")
        if account is None or not balance.is_finite():
            names = ", ".join(self.state.accounts)
            raise WrongUseError(f'takes {{"account": one of {names}, "balance_usd": an amount as text or number}}')
        account.balance = balance
        return {"account": account.name, "balance_usd": str(balance)}

    async def _show_state(self, _body: Any, _request: Request) -> Any:
        self.state.settle()
        return {
            "now_s": self.clock(),
            "accounts": {name: str(account.balance) for name, account in self.state.accounts.items()},
            "generations": self.state.counts(),
        }

    async def _requests(self, _body: Any, request: Request) -> Any:
        return {"requests": [_seen(each) for each in last(self.journal.requests, _since(request))]}

    async def _deliveries(self, _body: Any, request: Request) -> Any:
        return {"deliveries": [_sent(each) for each in last(self.journal.deliveries, _since(request))]}

    async def _replay(self, _body: Any, request: Request) -> Any:
        delivery = self.journal.delivery(request.path_params["number"])
        if delivery is None:
            raise WrongUseError("there is no delivery of this number; GET /__mock/deliveries lists those there are")
        if delivery.state == "refused":
            raise WrongUseError("this receiver may not be called: it is not on loopback")
        await self.replay(delivery)
        return _sent(delivery)


async def _body(request: Request) -> Any:
    """The JSON object of a control request; an empty one where there is none."""
    data = b""
    async for chunk in request.stream():
        data += chunk
        if len(data) > BODY_MAX_BYTES:
            raise WrongUseError(f"takes at most {BODY_MAX_BYTES} bytes")
    try:
        value = json.loads(data) if data else {}
    except (ValueError, RecursionError):
        value = None
    if not isinstance(value, dict):
        raise WrongUseError("takes a JSON object")
    return value


def _since(request: Request) -> int:
    text = request.query_params.get("since", "0")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise WrongUseError("since takes the number of a request or delivery")
    return int(text)


def _seen(seen: Any) -> dict[str, Any]:
    assert isinstance(seen, Seen)
    return {
        "number": seen.number,
        "at_s": seen.at,
        "method": seen.method,
        "path": seen.path,
        "account": seen.account,
        "body": seen.body.decode("utf-8", "backslashreplace"),
        "status": seen.status,
        "violation": seen.violation,
    }


def _sent(delivery: Any) -> dict[str, Any]:
    assert isinstance(delivery, Delivery)
    return {
        "number": delivery.number,
        "generation_id": delivery.generation_id,
        "receiver": delivery.receiver,
        "body": delivery.body.decode("utf-8", "backslashreplace"),
        "body_base64": base64.b64encode(delivery.body).decode(),
        "signature": delivery.signature,
        "state": delivery.state,
        "attempts": [{"at_s": each.at, "status": each.status} for each in delivery.attempts],
    }
