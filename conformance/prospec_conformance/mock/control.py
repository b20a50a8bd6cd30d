"""The mock's own endpoints under /__mock: time, money, what was seen and sent. Behind a token, and no part of the API.

page.html shows them to a person. It holds nothing secret, so it alone is served without the token.

Here lives no behaviour of the API.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import math
import re
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cache
from importlib.resources import files
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Mount, Route, Router

from .clock import SteerableClock
from .journal import Journal, Seen
from .receivers import RefusedReceiver
from .state import Delivery, State, StoreError
from .webhooks import Webhooks

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
    webhooks: Webhooks
    resume: Callable[[], None]
    """Takes up, once, what an earlier process left under way."""

    def mount(self) -> Route:
        """All of them, under one path."""
        endpoints = Mount(
            PATH,
            routes=[
                Route("/", _page, methods=["GET"]),
                Route("/clock", self._endpoint(self._advance), methods=["POST"]),
                Route("/reset", self._endpoint(self._reset), methods=["POST"]),
                Route("/balance", self._endpoint(self._set_balance), methods=["PUT"]),
                Route("/state", self._endpoint(self._show_state), methods=["GET"]),
                Route("/requests", self._endpoint(self._requests), methods=["GET"]),
                Route("/deliveries", self._endpoint(self._deliveries), methods=["GET"]),
                Route("/deliveries/{number:int}/replay", self._endpoint(self._replay), methods=["POST"]),
            ],
        )
        # A mount is not met by its path alone, without the final slash.
        router = Router([Route(PATH, _page, methods=["GET"]), endpoints], redirect_slashes=False)
        return Route(f"{PATH}{{rest:path}}", router)

    def _endpoint(self, answer: Answered) -> Callable[[Request], Awaitable[Response]]:
        async def respond(request: Request) -> Response:
            given = request.headers.get(TOKEN_HEADER, "")
            if not hmac.compare_digest(given.encode(), self.token.encode()):
                return JSONResponse({"detail": f"{TOKEN_HEADER} is missing or wrong: the mock printed it"}, 403)
            try:
                self.resume()
                result = await answer(await _body(request), request)
                self.state.keep()
                return JSONResponse(result)
            except WrongUseError as error:
                return JSONResponse({"detail": str(error)}, 400)
            except StoreError as error:
                return JSONResponse({"detail": str(error)}, 500)

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
        """Forgets everything but the keys; nothing that was under way goes out any more."""
        self.webhooks.call_off()
        self.state.reset()
        self.journal.clear()
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
        self.state.set_balance(account, balance)
        return {"account": account.name, "balance_usd": str(balance)}

    async def _show_state(self, _body: Any, _request: Request) -> Any:
        self.state.settle()
        return {
            "now_s": self.clock(),
            "accounts": {name: str(account.balance) for name, account in self.state.accounts.items()},
            "generations": self.state.statuses(),
        }

    async def _requests(self, _body: Any, request: Request) -> Any:
        return {"requests": [_seen(each) for each in self.journal.since(_since(request))]}

    async def _deliveries(self, _body: Any, request: Request) -> Any:
        return {"deliveries": [self._sent(each) for each in self.state.deliveries(_since(request))]}

    async def _replay(self, _body: Any, request: Request) -> Any:
        number = request.path_params["number"]
        delivery = next((each for each in self.state.deliveries() if each.number == number), None)
        if delivery is None:
            raise WrongUseError("there is no delivery of this number; GET /__mock/deliveries lists those there are")
        try:
            await self.webhooks.replay(delivery)
        except RefusedReceiver as refused:
            raise WrongUseError(f"this receiver may not be called: {refused}") from None
        return self._sent(delivery)

    def _sent(self, delivery: Delivery) -> dict[str, Any]:
        return {
            "number": delivery.number,
            "generation_id": delivery.generation.id,
            "receiver": delivery.receiver,
            "body": delivery.body.decode("utf-8", "backslashreplace"),
            "body_base64": base64.b64encode(delivery.body).decode(),
            "signature": self.webhooks.signature(delivery),
            "state": delivery.state,
            "due_s": delivery.due if delivery.is_open else None,
            "attempts": [{"at_s": each.at, "status": each.status} for each in delivery.attempts],
        }


async def _page(_request: Request) -> Response:
    text, policy = _read_page()
    headers = {
        "Content-Security-Policy": policy,
        "X-Content-Type-Options": "nosniff",
        "Referrer-Policy": "no-referrer",
        "Cache-Control": "no-store",
    }
    return Response(text, media_type="text/html", headers=headers)


@cache
def _read_page() -> tuple[str, str]:
    """The page, and the policy under which its own script and style are all that runs."""
    text = (files("prospec_conformance.mock") / "page.html").read_text("utf-8")
    digests = {
        element: base64.b64encode(hashlib.sha256(content.encode()).digest()).decode()
        for element, content in re.findall(r"<(script|style)>(.*?)</\1>", text, re.DOTALL)
    }
    policy = {
        "default-src": "'none'",
        "script-src": f"'sha256-{digests['script']}'",
        "style-src": f"'sha256-{digests['style']}'",
        "connect-src": "'self'",
        "base-uri": "'none'",
        "form-action": "'none'",
        "frame-ancestors": "'none'",
        "trusted-types": "'none'",
        "require-trusted-types-for": "'script'",
    }
    return text, "; ".join(f"{name} {value}" for name, value in policy.items())


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


def _seen(seen: Seen) -> dict[str, Any]:
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
