"""Faults of money: what is taken, given back and shown. Here live no others."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import replace
from decimal import ROUND_CEILING, Decimal
from typing import Any

from ..changes import VIOLATION_HEADER, Answer, Change, in_bodies, in_errors, is_error, with_status, without
from .fault import Fault, fault

CENT = Decimal("0.01")
CACHED_S = 10.0
IN_A_ROW = 3

Edit = Callable[[dict[str, Any]], dict[str, Any]]


def _is_balance(found: Answer) -> bool:
    return found.endpoint == "getBalance" and not is_error(found) and isinstance(found.body, dict)


def _shown(edit: Edit) -> Change:
    return in_bodies(edit, _is_balance)


def _showing(edit: Callable[[Decimal], object]) -> Change:
    return _shown(lambda body: body | {"balance_usd": edit(Decimal(str(body["balance_usd"])))})


def _toll(when: Callable[[Answer], bool], usd: Decimal = CENT) -> Change:
    """Each answer of which `when` holds costs its account an amount, as its balance shows from then on."""

    def answer(found: Answer) -> Answer:
        tolls = found.memory.setdefault("toll", {})
        taken = tolls.get(found.account, Decimal(0))
        if when(found):
            taken = tolls[found.account] = taken + usd
        if not _is_balance(found):
            return found
        body: Any = found.body
        return replace(found, body=body | {"balance_usd": float(Decimal(str(body["balance_usd"])) - taken)})

    return Change(answer=answer)


def _refused_as(keyword: str, pointer: str = "") -> Callable[[Answer], bool]:
    """Tells the refusals of generate requests for that reason."""
    violation = f"{keyword} {pointer}".rstrip()
    return lambda found: found.endpoint == "generate" and found.headers.get(VIOLATION_HEADER) == violation


def _no_balance(status: int) -> Change:
    """Refuses whoever asks for the balance."""
    body = {"code": "invalid_request", "message": "account is missing.", "detail": "account is missing."}
    return Change(answer=lambda found: replace(found, status=status, body=body) if _is_balance(found) else found)


def _has_status(endpoint: str, status: str) -> Callable[[Answer], bool]:
    """Tells the answers of an endpoint that show a generation of that status."""
    return lambda found: (
        found.endpoint == endpoint and isinstance(found.body, dict) and found.body.get("status") == status
    )


def _is_answered(endpoint: str, status: int) -> Callable[[Answer], bool]:
    return lambda found: (found.endpoint, found.status) == (endpoint, status)


def _asks_again(found: Answer) -> bool:
    """Tells the answers to whoever has asked for nothing but the balance three times and more."""
    asked = found.memory.setdefault("BAL-12", {})
    asked[found.account] = asked.get(found.account, 0) + 1 if _is_balance(found) else 0
    return bool(asked[found.account] > IN_A_ROW)


def _cached(found: Answer) -> Answer:
    """Shows for a while what was shown before."""
    if not _is_balance(found):
        return found
    cached = found.memory.setdefault("BAL-14", {})
    at, body = cached.get(found.account, (float("-inf"), None))
    if found.at - at < CACHED_S:
        return replace(found, body=body)
    cached[found.account] = (found.at, found.body)
    return found


def _balance() -> Iterator[Fault]:
    bodies: Mapping[str, tuple[str, Edit, tuple[str, ...]]] = {
        "currency-missing": ("The balance lacks currency", lambda body: without(body, "currency"), ()),
        "balance-missing": ("The balance lacks balance_usd", lambda body: without(body, "balance_usd"), ()),
        "other-name": (
            "The balance is named balance",
            lambda body: {"balance": body["balance_usd"], "currency": body["currency"]},
            (),
        ),
        "wrapped": ("The balance is within data", lambda body: {"data": body}, ()),
    }
    for slug, (what, edit, also) in bodies.items():
        yield fault(f"BAL-01-{slug}", f"{what}.", _shown(edit), *also)
    yield fault("BAL-01-list", "The balance is a list.", in_bodies(lambda body: [body], _is_balance))
    yield fault("BAL-02-string", "balance_usd is a string.", _showing(str))
    yield fault("BAL-02-null", "balance_usd is null.", _showing(lambda _balance: None))
    yield fault("BAL-03-lower-case", "currency is usd.", _shown(lambda body: body | {"currency": "usd"}))
    yield fault("BAL-03-euro", "currency is EUR.", _shown(lambda body: body | {"currency": "EUR"}))
    yield fault(
        "BAL-04-another-key",
        "getBalance takes another key than the other endpoints.",
        Change(admits=lambda caller, admitted: admitted and caller.endpoint != "getBalance"),
        "AUTH-04",
    )
    for status in (400, 405):
        yield fault(
            f"BAL-05-answered-{status}",
            f"The balance is answered {status} where the query names no account.",
            _no_balance(status),
            "BAL-01",
            *(("ERR-07",) if status == 405 else ()),
        )
    yield fault("BAL-14-cached", "The balance is shown as it was some seconds ago.", Change(answer=_cached))
    yield fault(
        "BAL-16-rounded", "balance_usd is rounded to cents.", _showing(lambda balance: round(float(balance), 2))
    )
    yield fault(
        "BAL-16-cut-off",
        "balance_usd is cut off after the cents.",
        _showing(lambda balance: float(balance // CENT * CENT)),
    )
    yield fault(
        "BAL-13-of-the-first-account",
        "Every account is shown the balance of one.",
        Change(balance=lambda _caller, accounts, _balance: accounts["first"].balance),
    )
    yield fault(
        "BAL-13-of-all-accounts",
        "Every account is shown the sum of all balances.",
        Change(
            balance=lambda _caller, accounts, _balance: sum((each.balance for each in accounts.values()), Decimal(0))
        ),
    )


def _charges() -> Iterator[Fault]:
    charges: Mapping[str, tuple[str, Callable[[Decimal], Decimal], tuple[str, ...]]] = {
        "nothing-taken": ("takes nothing from the balance", lambda _cost: Decimal(0), ("BAL-09",)),
        "taken-twice": ("takes its cost twice", lambda cost: 2 * cost, ("BAL-08", "HOOK-32", "ERR-12", "ERR-14")),
        "a-fee": (
            "takes a tenth more than its cost",
            lambda cost: cost * Decimal("1.1"),
            ("BAL-08", "HOOK-32", "ERR-12", "ERR-14"),
        ),
        "rounded-up": (
            "takes its cost rounded up to cents",
            lambda cost: cost.quantize(CENT, ROUND_CEILING),
            ("BAL-08", "BAL-16", "HOOK-32", "ERR-12", "ERR-14"),
        ),
        "a-hundredth-of-a-cent": (
            "takes a hundredth of a cent more than its cost",
            lambda cost: cost + Decimal("0.0001"),
            ("BAL-08", "HOOK-32", "ERR-12", "ERR-14"),
        ),
    }
    for slug, (what, change, also) in charges.items():
        yield fault(f"BAL-06-{slug}", f"A generation {what}.", Change(charge=change), *also)
    yield fault(
        "BAL-06-synchronous-dearer",
        "A synchronous generation takes a cent more than its cost.",
        _toll(_has_status("generate", "completed")),
    )
    reasons = {
        "not-json": ("a body that is not JSON", _refused_as("json")),
        "no-model": ("a request without model", _refused_as("required", "/model")),
        "unknown-model": ("a request for an unknown model", _refused_as("model", "/model")),
        "unknown-mode": ("a request for an unknown mode", _refused_as("mode", "/mode")),
        "no-params": ("a request without params", _refused_as("required", "/params")),
        "no-prompt": ("a request without prompt", _refused_as("required", "/params/prompt")),
        "params-type": ("a request whose params are no object", _refused_as("type", "/params")),
        "unknown-generation": ("polling what there is not", _is_answered("getGeneration", 404)),
    }
    for slug, (what, when) in reasons.items():
        yield fault(f"BAL-07-{slug}-charged", f"For {what} a cent is taken.", _toll(when))
    refunds: Mapping[str, tuple[str, Callable[[Decimal], Decimal], str]] = {
        "none": ("is not refunded", lambda _cost: Decimal(0), "BAL-08"),
        "half": ("is refunded by half", lambda cost: cost / 2, "BAL-08"),
        "a-fee-kept": ("is refunded but for a tenth of a cent", lambda cost: cost - Decimal("0.001"), "BAL-08"),
        "double": ("is refunded twice", lambda cost: 2 * cost, "BAL-09"),
        "rounded-up": (
            "is refunded in whole cents, rounded up",
            lambda cost: cost.quantize(CENT, ROUND_CEILING),
            "BAL-09",
        ),
    }
    for slug, (what, change, id) in refunds.items():
        yield fault(
            f"{id}-refund-{slug}",
            f"What fails {what}.",
            Change(refund=change),
            *(("HOOK-32", "ERR-12", "ERR-14") if id == "BAL-08" else ()),
        )
    yield fault(
        "BAL-09-refund-with-every-poll",
        "What has failed is refunded again whenever it is polled.",
        _toll(_has_status("getGeneration", "failed"), -CENT),
    )
    yield fault(
        "BAL-10-polling-charged", "A poll takes a cent.", _toll(_is_answered("getGeneration", 200)), "BAL-06", "HOOK-32"
    )
    yield fault(
        "BAL-10-polling-completed-charged",
        "A poll of what has completed takes a hundredth of a cent.",
        _toll(_has_status("getGeneration", "completed"), Decimal("0.0001")),
        "BAL-06",
    )
    yield fault(
        "BAL-11-initiate-charged", "Announcing an upload takes a cent.", _toll(_is_answered("initiateUpload", 200))
    )
    yield fault("BAL-11-put-charged", "Sending an upload takes a cent.", _toll(_is_answered("putUpload", 200)))
    yield fault(
        "BAL-12-asking-often-charged",
        "Asking for the balance takes a cent from the fourth time in a row on.",
        _toll(_asks_again),
    )


def _errors() -> Iterator[Fault]:
    yield fault(
        "ERR-10-on-credit",
        "A generation is made whatever the balance holds.",
        Change(affords=lambda _balance, _cost, _affords: True),
    )
    yield fault(
        "ERR-10-any-balance-suffices",
        "A generation is made as long as the balance is above zero.",
        Change(affords=lambda balance, _cost, _affords: balance > 0),
    )
    for status in (400, 402):
        yield fault(
            f"ERR-10-answered-{status}",
            f"What the balance does not cover is answered {status}.",
            in_errors(with_status(status), "generate", 403),
            *(("ERR-07",) if status == 402 else ()),
        )
    yield fault("ERR-12-charged", "What is answered 500 is charged a cent.", _toll(_is_answered("generate", 500)))
    yield fault("ERR-14-charged", "What is answered 504 is charged a cent.", _toll(_is_answered("generate", 504)))
    yield fault(
        "ERR-15-detail-missing",
        "The 403 has no detail.",
        in_bodies(lambda body: without(body, "detail"), _is_answered("generate", 403)),
    )
    yield fault(
        "ERR-15-detail-object",
        "The detail of the 403 is an object.",
        in_bodies(lambda body: body | {"detail": {"msg": body.get("detail")}}, _is_answered("generate", 403)),
    )


def faults() -> Iterator[Fault]:
    yield from _balance()
    yield from _charges()
    yield from _errors()
