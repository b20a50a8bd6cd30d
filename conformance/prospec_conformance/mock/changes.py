"""Where an implementation may differ, and what a difference is made of.

A fault and a variant are one thing to the server: a `Change`, which rewrites what passes at the seams. Here live that
type, the values that pass the seams, and the makers in which changes are written. Here live no fault, no variant and
nothing of the mock's own behaviour.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Collection, Iterable, Mapping
from dataclasses import dataclass, field, fields, replace
from decimal import Decimal
from functools import reduce
from typing import TYPE_CHECKING, Any, NamedTuple

from prospec.ir import Mode, Model, Spec
from prospec.schema import Schema

from .terms import Terms

if TYPE_CHECKING:
    from starlette.requests import HTTPConnection

    from .media import Drawing
    from .state import Account, Generation, Upload

VIOLATION_HEADER = "X-Mock-Violation"
OUTPUT = "output"
"""The endpoint of an answer that is a file: no operationId, for `output_url` is opaque."""


class Caller(NamedTuple):
    """Who asks for what: all that admission is decided by."""

    endpoint: str
    """The operationId of openapi.yaml."""
    authorization: str | None
    keys: frozenset[str]
    """Every key that was issued."""
    request: HTTPConnection

    @property
    def query(self) -> Mapping[str, str]:
        return self.request.query_params

    @property
    def headers(self) -> Mapping[str, str]:
        """By names of any case."""
        return self.request.headers


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a request is turned down, before it has become an answer."""

    status: int
    message: str
    keyword: str = ""
    """The JSON Schema keyword that was broken, or one of media, size, model, mode, json."""
    pointer: str = ""
    """JSON Pointer into the body."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What goes out."""

    endpoint: str
    """The operationId of openapi.yaml, or `OUTPUT`; empty where no endpoint was met."""
    status: int
    body: object
    """A JSON value. Bytes go out as they are, under the content type of `headers`."""
    headers: Mapping[str, str]
    at: float
    """The server's clock."""
    memory: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """What the changes of one mock remember from answer to answer."""
    account: str = ""
    """The name of the caller's account; empty where it was not let in."""


@dataclass(frozen=True, slots=True)
class Message:
    """One attempt to deliver one event."""

    event: Mapping[str, Any]
    """What `body` says."""
    body: bytes
    headers: Mapping[str, str]
    """Without the signature."""
    url: str = field(repr=False)
    attempt: int
    """1 for the first."""
    at: float
    """The mock's clock."""
    secret: str = field(repr=False)
    """What the signature is keyed with."""
    signed: bytes | None = None
    """What is signed; None for the body."""
    spelt: Callable[[bytes], str | None] = bytes.hex
    """Makes the header of the signature's 32 bytes; None for no header."""
    method: str = "POST"
    memory: dict[str, Any] = field(default_factory=dict, repr=False, compare=False)
    """That of the answers."""


@dataclass(frozen=True, slots=True)
class Change:
    """What is done otherwise at each seam. A seam that is left out stays as it is."""

    admits: Callable[[Caller, bool], bool] = lambda _caller, admitted: admitted
    """Lets in or keeps out, given the right decision. A caller without a genuine key acts for the first account."""
    checks_key_last: Callable[[str], bool] = lambda _endpoint: False
    """Whether an endpoint tells somebody without a key what else is wrong with the request."""
    issues: Callable[[str], str] = lambda key: key
    """Given a key that is about to be issued."""
    request: Callable[[Spec, Any], Any] = lambda _spec, request: request
    """Reads a generate request as another one, before it is judged."""
    schema: Callable[[Model, Mode, Schema], None] = lambda _model, _mode, _schema: None
    """Edits, in place, the fresh schema by which the requests of one (model, mode) will be judged."""
    strict: bool = False
    """Judges by inferred and assumed rows too."""
    refusal: Callable[[Any, Refusal | None], Refusal | None] = lambda _request, refusal: refusal
    """Given a generate request and the verdict. It may drop a refusal of params, never one of model or mode."""
    identify: Callable[[str], str] = lambda id: id
    """Given the id of a new generation."""
    answer: Callable[[Answer], Answer] = lambda answer: answer
    terms: Callable[[Terms], Terms] = lambda terms: terms
    is_async: Callable[[Mapping[str, Any], bool], bool] = lambda _request, is_async: is_async
    """Given a valid generate request, and whether its caller does not wait."""
    lasts_s: Callable[[Mapping[str, Any], float], float] = lambda _request, lasts_s: lasts_s
    """Given a valid generate request, and how long its generation takes."""
    costs: Callable[[Mapping[str, Any], Decimal], Decimal] = lambda _request, cost: cost
    """Given a valid generate request, and what it costs."""
    draws: Callable[[Drawing], Drawing] = lambda drawing: drawing
    """Given what the output of a generation will show."""
    affords: Callable[[Decimal, Decimal, bool], bool] = lambda _balance, _cost, affords: affords
    """Given a balance and a cost: whether the one covers the other."""
    charge: Callable[[Decimal], Decimal] = lambda cost: cost
    """Given what a generation costs: what is taken from the balance."""
    refund: Callable[[Decimal], Decimal] = lambda cost: cost
    """Given what a generation that has failed did cost: what is given back."""
    sees: Callable[[Account, Generation, bool], bool] = lambda _account, _generation, sees: sees
    """Whether a generation is shown to an account."""
    is_gone: Callable[[Generation, bool], bool] = lambda _generation, gone: gone
    """Whether polling a generation is answered 410, given whether its output has expired."""
    balance: Callable[[Account, Mapping[str, Account], Decimal], Decimal] = lambda _caller, _accounts, balance: balance
    """Given who asks, every account by its name, and the balance: what is shown of it."""
    announcement: Callable[[Any], Any] = lambda announcement: announcement
    """Reads the announcement of an upload as another one, before it is judged."""
    announces: Callable[[str, Refusal | None], Refusal | None] = lambda _content_type, refusal: refusal
    """Given the content type of an upload that is announced, and the verdict."""
    mint: Callable[[str, str], str] = lambda _content_type, token: token
    """Given the content type of an upload, and its new token."""
    upload_url: Callable[[str, str], str] = lambda _base_url, path: path
    """Given where the caller reached the mock, ending in a slash, and the path for the bytes: how it is told that."""
    max_bytes: Callable[[str, int], int] = lambda _content_type, max_bytes: max_bytes
    """Given the content type of an upload, and how large it may be."""
    may_put: Callable[[Account, Upload | None, bool], bool] = lambda _account, _upload, may: may
    """Whether an account may send the bytes of an upload; None where there is none of that token."""
    takes: Callable[[Upload, str, bool], bool] = lambda _upload, _content_type, takes: takes
    """Whether bytes of a content type are taken for an upload."""
    token_ends: Callable[[Upload, float], float] = lambda _upload, ends: ends
    """Given an upload, as it was before its bytes came, and when it ends now that they have come."""
    reads_token: Callable[[str, Collection[str]], str] = lambda token, _minted: token
    """Reads a token as another one, given all that were minted."""
    redeems: Callable[[Account, Upload | None, bool], bool] = lambda _account, _upload, redeems: redeems
    """Whether an account may use an upload in a generate request; None where there is none of that token."""
    message: Callable[[Message], Message | None] = lambda message: message
    """None where nothing is sent. What it makes of the message is signed afterwards."""
    ends_delivery: Callable[[int, int | None, bool], bool] = lambda _attempt, _status, ends: ends
    """Given what a receiver answered to which attempt, None for nothing: whether no further one follows."""


_UNCHANGED = Change()


def seams(change: Change) -> frozenset[str]:
    """The names of those at which a change does anything."""
    return frozenset(
        each.name for each in fields(Change) if getattr(change, each.name) != getattr(_UNCHANGED, each.name)
    )


def combined(changes: Iterable[Change]) -> Change:
    """One change that makes all of them, one after the other."""
    return reduce(_both, changes, Change())


def _both(first: Change, then: Change) -> Change:
    def schema(model: Model, mode: Mode, fresh: Schema) -> None:
        first.schema(model, mode, fresh)
        then.schema(model, mode, fresh)

    both = Change(
        admits=lambda caller, admitted: then.admits(caller, first.admits(caller, admitted)),
        checks_key_last=lambda endpoint: first.checks_key_last(endpoint) or then.checks_key_last(endpoint),
        issues=lambda key: then.issues(first.issues(key)),
        request=lambda spec, request: then.request(spec, first.request(spec, request)),
        schema=schema,
        strict=first.strict or then.strict,
        refusal=lambda request, refusal: then.refusal(request, first.refusal(request, refusal)),
        identify=lambda id: then.identify(first.identify(id)),
        answer=lambda answer: then.answer(first.answer(answer)),
        terms=lambda terms: then.terms(first.terms(terms)),
        is_async=lambda request, it: then.is_async(request, first.is_async(request, it)),
        lasts_s=lambda request, lasts_s: then.lasts_s(request, first.lasts_s(request, lasts_s)),
        costs=lambda request, cost: then.costs(request, first.costs(request, cost)),
        draws=lambda drawing: then.draws(first.draws(drawing)),
        affords=lambda balance, cost, it: then.affords(balance, cost, first.affords(balance, cost, it)),
        charge=lambda cost: then.charge(first.charge(cost)),
        refund=lambda cost: then.refund(first.refund(cost)),
        sees=lambda account, generation, it: then.sees(account, generation, first.sees(account, generation, it)),
        is_gone=lambda generation, gone: then.is_gone(generation, first.is_gone(generation, gone)),
        balance=lambda caller, accounts, it: then.balance(caller, accounts, first.balance(caller, accounts, it)),
        announcement=lambda announcement: then.announcement(first.announcement(announcement)),
        announces=lambda type, refusal: then.announces(type, first.announces(type, refusal)),
        mint=lambda type, token: then.mint(type, first.mint(type, token)),
        upload_url=lambda base_url, path: then.upload_url(base_url, first.upload_url(base_url, path)),
        max_bytes=lambda type, most: then.max_bytes(type, first.max_bytes(type, most)),
        may_put=lambda account, upload, it: then.may_put(account, upload, first.may_put(account, upload, it)),
        takes=lambda upload, type, it: then.takes(upload, type, first.takes(upload, type, it)),
        token_ends=lambda upload, ends: then.token_ends(upload, first.token_ends(upload, ends)),
        reads_token=lambda token, minted: then.reads_token(first.reads_token(token, minted), minted),
        redeems=lambda account, upload, it: then.redeems(account, upload, first.redeems(account, upload, it)),
        message=lambda message: then.message(changed) if (changed := first.message(message)) else None,
        ends_delivery=lambda attempt, status, it: then.ends_delivery(
            attempt, status, first.ends_delivery(attempt, status, it)
        ),
    )
    # Where one alone does something, it is that one's: so `seams` of both are those of either.
    alone = {name: getattr(first, name) for name in seams(first) - seams(then)}
    alone |= {each.name: getattr(then, each.name) for each in fields(Change) if each.name not in seams(first)}
    return replace(both, **alone)


def in_request(edit: Callable[[dict[str, Any]], dict[str, Any]]) -> Change:
    """Reads each request that is an object as what `edit` makes of it."""
    return Change(request=lambda _spec, request: edit(request) if isinstance(request, dict) else request)


def in_params(edit: Callable[[str, Any], Any]) -> Change:
    """Reads each param's value as what `edit` makes of its name and value."""

    def read(request: dict[str, Any]) -> dict[str, Any]:
        params = request.get("params")
        if not isinstance(params, dict):
            return request
        return request | {"params": {name: edit(name, value) for name, value in params.items()}}

    return in_request(read)


def in_rows(edit: Callable[[Schema], object], model: str = "", mode: str = "", param: str = "") -> Change:
    """Edits the rows of that model, mode and param, or of any; only rows that bind, so that no other begins to."""

    def schema(of: Model, in_mode: Mode, fresh: Schema) -> None:
        if model in ("", of.id) and mode in ("", in_mode.id):
            for name, row in fresh["properties"]["params"]["properties"].items():
                if param in ("", name) and "x-expected" not in row:
                    edit(row)

    return Change(schema=schema)


def row(model: str, mode: str, param: str, **keywords: object) -> Change:
    """Sets keywords of one row; None takes a keyword away."""

    def edit(found: Schema) -> None:
        found.update(keywords)
        for name in [name for name, value in keywords.items() if value is None]:
            del found[name]

    return in_rows(edit, model, mode, param)


def refused(when: Callable[[dict[str, Any]], bool], keyword: str, pointer: str) -> Change:
    """Refuses, beside what is refused anyway, the requests of which `when` holds."""

    def refusal(request: Any, found: Refusal | None) -> Refusal | None:
        if found is None and when(request):
            return Refusal(400, f"{pointer} is not allowed here.", keyword, pointer)
        return found

    return Change(refusal=refusal)


def answered(status: int, when: Callable[[Refusal], bool]) -> Change:
    """Gives another status to the refusals of which `when` holds."""
    return Change(
        refusal=lambda _request, refusal: replace(refusal, status=status) if refusal and when(refusal) else refusal
    )


def breaks(keyword: str, pointer: str | None = None) -> Callable[[Refusal], bool]:
    """Tells the refusals of that keyword, and of that place if one is given."""
    return lambda refusal: refusal.keyword == keyword and pointer in (None, refusal.pointer)


def is_missing_param(refusal: Refusal) -> bool:
    return refusal.keyword == "required" and refusal.pointer.startswith("/params/") and refusal.pointer.count("/") == 2


def is_value(refusal: Refusal) -> bool:
    """Whether it is a param's value that was refused, which the documentation gives no status to (GAP-31)."""
    is_unknown = refusal.keyword == "additionalProperties" and refusal.pointer.count("/") == 2
    return refusal.pointer.startswith("/params/") and not is_missing_param(refusal) and not is_unknown


def is_error(answer: Answer) -> bool:
    return answer.status >= 400


def with_status(status: int) -> Callable[[Answer], Answer]:
    """Gives an answer another status."""
    return lambda answer: replace(answer, status=status)


def in_errors(edit: Callable[[Answer], Answer], endpoint: str = "", status: int = 0) -> Change:
    """Rewrites the error answers of that endpoint and status, or of any."""

    def answer(found: Answer) -> Answer:
        meant = is_error(found) and endpoint in ("", found.endpoint) and status in (0, found.status)
        return edit(found) if meant else found

    return Change(answer=answer)


def in_bodies(edit: Callable[[dict[str, Any]], object], when: Callable[[Answer], bool]) -> Change:
    """Rewrites the bodies, where they are objects, of the answers of which `when` holds."""

    def answer(found: Answer) -> Answer:
        return replace(found, body=edit(found.body)) if isinstance(found.body, dict) and when(found) else found

    return Change(answer=answer)


def in_generations(edit: Callable[[dict[str, Any]], dict[str, Any]], *statuses: str) -> Change:
    """Rewrites generations of those statuses, or of any, as `generate` and `getGeneration` show them."""

    def read(body: dict[str, Any]) -> dict[str, Any]:
        return edit(body) if not statuses or body.get("status") in statuses else body

    return in_bodies(read, lambda found: not is_error(found) and found.endpoint in ("generate", "getGeneration"))


def in_messages(
    edit: Callable[[Message], Message | None], when: Callable[[Message], bool] = lambda _message: True
) -> Change:
    """Rewrites, or holds back, the attempts of which `when` holds."""
    return Change(message=lambda message: edit(message) if when(message) else message)


def in_events(edit: Callable[[dict[str, Any]], Any], when: Callable[[Message], bool] = lambda _message: True) -> Change:
    """Rewrites what those attempts say, and signs that."""

    def told(message: Message) -> Message:
        event = edit(dict(message.event))
        return replace(message, event=event, body=json.dumps(event, separators=(",", ":")).encode())

    return in_messages(told, when)


def is_for(request: Mapping[str, Any], model: str, mode: str) -> bool:
    """Whether a valid request is one for that model and mode, the first of its model."""
    return bool(request["model"] == model and request.get("mode", mode) == mode)


def has_params(request: Mapping[str, Any], *names: str) -> bool:
    return all(name in request["params"] for name in names)


def without(mapping: Mapping[str, Any], *names: str) -> dict[str, Any]:
    """A copy that lacks those names."""
    return {name: value for name, value in mapping.items() if name not in names}
