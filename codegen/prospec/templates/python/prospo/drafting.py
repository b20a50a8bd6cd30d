"""From what a caller passes to the exact bytes that leave, checked and priced. Here lives no HTTP.

What is judged is the JSON text itself: whatever was passed, and whatever is changed afterwards, nothing else is sent.
Nothing is filled in; only `async` is ours.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from typing import Any, TypedDict

from .catalog import MODELS
from .errors import OverBudget
from .jsontext import parse
from .price import PARAM_SECONDS, estimate
from .problem import InvalidRequest, NotJSONError, Problem
from .rules import validate as problems_of
from .service import ASYNC_ABOVE_S


class Options(TypedDict, total=False):
    """What a request may be told apart from its content. `with_options` sets it for many."""

    webhook_url: str | None
    """Where the event goes when the generation ends."""
    blocking: bool | None
    """True for one call that lasts until the end, False for a submission that is polled; None, the default, for what
    the documentation recommends: polling for long videos."""
    timeout_s: float | None
    """For the whole of a method: sending, waiting, polling. Default: 1800. None waits for ever."""
    max_cost_usd: Decimal | float | str | None
    """A request that may cost more is not sent."""
    validate: bool
    """False sends what the catalog refuses: it may lag behind the API. Default: True."""
    upload_files: bool
    """True uploads local files that stand in media params, and sends their tokens. Default: False."""


def changed(options: Options, changes: Options) -> Options:
    """The options with some changed. Raises TypeError for one that there is not, ValueError for what is no amount."""
    if unknown := [name for name in changes if name not in Options.__annotations__]:
        raise TypeError(f"there is no option {unknown[0]!r}; there are {', '.join(Options.__annotations__)}")
    if (limit_usd := changes.get("max_cost_usd")) is not None:
        amount(limit_usd)
    return {**options, **changes}


@dataclass(frozen=True, slots=True)
class Order:
    """What a caller asks for. Its repr shows nothing of it: it may hold upload tokens and signed URLs."""

    request: Any = field(repr=False)
    """A mapping of `model`, `mode` and `params`, or what a caller takes for one."""
    options: Options = field(repr=False)


@dataclass(frozen=True, slots=True)
class Draft:
    """A request that may be sent."""

    body: bytes = field(repr=False)
    sha256: str
    largest_usd: Decimal | None
    """The most that it costs; None where no price is published."""
    is_async: bool
    warnings: tuple[Problem, ...]


def draft(order: Order, issued: Collection[str] = ()) -> Draft:
    """The bytes of a request. Raises InvalidRequest with every problem, and OverBudget beyond `max_cost_usd`.

    `issued` are upload tokens that are good, also where they have not the documented form.
    """
    request, options = order.request, order.options
    if not isinstance(request, Mapping):
        raise InvalidRequest(problems_of(request))
    asked = options.get("blocking")
    webhook_url = options.get("webhook_url")
    envelope = {**request, **({} if webhook_url is None else {"webhook_url": webhook_url})}
    is_async = request.get("async", recommends_async(request)) if asked is None else not asked
    if is_async is True:
        envelope["async"] = True
    elif is_async is False:
        envelope.pop("async", None)
    body = _json(envelope)
    try:
        value = parse(body)
    except NotJSONError as error:
        raise InvalidRequest([_no_json(str(error))]) from None
    found = [
        problem for problem in problems_of(value) if problem.code != "media" or _at(value, problem.path) not in issued
    ]
    errors = [problem for problem in found if problem.severity == "error"]
    if errors and options.get("validate", True):
        raise InvalidRequest(errors)
    largest_usd = None if errors else estimate(value).high_usd
    _check_cost(options.get("max_cost_usd"), largest_usd)
    warnings = tuple(found) if options.get("validate", True) else ()
    return Draft(body, hashlib.sha256(body).hexdigest(), largest_usd, is_async is True, warnings)


def recommends_async(request: Mapping[str, Any]) -> bool:
    """Whether the documentation recommends the asynchronous way: for long videos; here also for what may be one."""
    model = MODELS.get(request["model"]) if isinstance(request.get("model"), str) else None
    if model is None:
        return True
    if model.kind != "video":
        return False
    mode, params = model.mode(request.get("mode")), request.get("params")
    row = next((param for param in mode.params if param.name == "duration"), None) if mode else None
    given = params.get("duration") if isinstance(params, Mapping) else None
    seconds = given if given is not None else row.default if row else None
    try:
        return seconds is None or float(str(seconds).removesuffix(PARAM_SECONDS)) > ASYNC_ABOVE_S
    except ValueError:
        return True


def amount(usd: Decimal | float | str) -> Decimal:
    """An amount as it is written: 0.1 is one tenth. Raises ValueError for what is none."""
    try:
        value = Decimal(str(usd))
    except ArithmeticError:
        value = Decimal("NaN")
    if not value.is_finite() or value < 0:
        raise ValueError(f"{usd!r} is no amount of USD")
    return value


def _at(value: Any, pointer: str) -> Any:
    """The value that a JSON Pointer leads to, within a request whose names need no escape."""
    for name in pointer.split("/")[1:]:
        value = value[int(name) if isinstance(value, list) else name]
    return value


def _check_cost(max_cost_usd: Decimal | float | str | None, largest_usd: Decimal | None) -> None:
    if max_cost_usd is None:
        return
    limit_usd = amount(max_cost_usd)
    if largest_usd is None:
        raise OverBudget(f"what this request costs is not published: nothing says that it is {limit_usd} USD at most")
    if largest_usd > limit_usd:
        raise OverBudget(f"this request may cost {largest_usd} USD, and max_cost_usd is {limit_usd}")


def _json(envelope: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(envelope, ensure_ascii=False, separators=(",", ":")).encode()
    except (TypeError, ValueError, RecursionError) as error:
        reason = "nested too deep" if isinstance(error, RecursionError) else str(error)
        hint = "upload_files=True sends a local file and puts its token here" if "Path " in reason else None
        raise InvalidRequest([_no_json(reason, hint)]) from None


def _no_json(reason: str, hint: str | None = None) -> Problem:
    return Problem("", "json", "error", "documented", f"the request cannot be written as JSON: {reason}", hint)
