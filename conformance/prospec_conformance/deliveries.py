"""What a webhook receiver is sent: genuine deliveries in every form that JSON allows, forged ones, and odd ones.

Every delivery is data, and knows how its signature is made, in Python and for a shell. Here live no secret, no I/O and
no judgement.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Literal

Expected = Literal["taken", "refused", "answered", "limited"]
"""A 2xx; a 4xx; either of them; either of them or, as the body is huge, an end of the connection."""

SECRET_VARIABLE = "PROSPOLABS_WEBHOOK_SECRET"  # noqa: S105 - the name alone
OTHER_SECRET = "whsec-of-somebody-else"  # noqa: S105 - nobody's
HUGE_BYTES = 5_000_000
DEEP = 5000
"""Levels of nesting at which some parsers run out of stack."""


@dataclass(frozen=True, slots=True)
class Signing:
    """How the value of the header comes about; for a missing header, None on both sides."""

    write: Callable[[bytes, bytes], bytes | None] = field(repr=False)
    """Of the secret and the bytes to sign."""
    shell: str | None
    """The same within double quotes of a shell, from the file `signed` and the variable with the secret."""


@dataclass(frozen=True, slots=True)
class Hint:
    """Why an answer matters, and how to mend the receiver."""

    why: str
    mend: str


@dataclass(frozen=True, slots=True)
class Delivery:
    """One request, and the answer that is expected."""

    name: str
    what: str
    """What is particular about it."""
    expected: Expected
    hint: Hint = field(repr=False)
    """For a receiver that takes what it has to refuse, or the other way round."""
    hint_if_broken: Hint = field(repr=False)
    """For one that answers 5xx, or not at all."""
    body: bytes = field(repr=False)
    signing: Signing = field(repr=False)
    signed: bytes = field(repr=False)
    """The bytes whose signature it bears; those of the body where it is genuine."""
    method: str = "POST"
    content_type: str | None = "application/json"
    is_header_lower: bool = False
    remarks: Mapping[Literal["taken", "refused"], str] = field(default_factory=dict)
    """What is worth knowing of a receiver that does so, where either is right."""
    times: int = 1
    """How often it is sent, one after the other."""

    def signature(self, secret: str) -> bytes | None:
        return self.signing.write(secret.encode(), self.signed)


def genuine_signature(secret: str, body: bytes) -> str:
    return _hmac(secret.encode(), body).decode()


def _hmac(key: bytes, signed: bytes, algorithm: str = "sha256") -> bytes:
    return hmac.new(key, signed, algorithm).hexdigest().encode()


# How a signature is made

_OPENSSL = f'openssl dgst -sha256 -hmac "${SECRET_VARIABLE}"'
_HEX = f"{_OPENSSL} -r < signed | cut -c1-64"


def _filtered(change: Callable[[bytes], bytes], filter: str) -> Signing:
    """The genuine signature through a change, and through the same change as a filter of a shell."""
    return Signing(lambda key, signed: change(_hmac(key, signed)), f"$({_HEX} | {filter})")


def _wrapped(before: str, after: str = "") -> Signing:
    """The genuine signature with text around it."""
    return Signing(
        lambda key, signed: before.encode() + _hmac(key, signed) + after.encode(), f"{before}$({_HEX}){after}"
    )


def _constant(text: str) -> Signing:
    return Signing(lambda key, signed: text.encode(), text)


def _digit_changed(at: int) -> Signing:
    def change(digits: bytes) -> bytes:
        return digits[:at] + (b"1" if digits[at : at + 1] == b"0" else b"0") + digits[at + 1 :]

    before = rf"s/^\(.\{{{at}\}}\)"
    return _filtered(change, rf"sed -e '{before}0/\1x/' -e '{before}[^x]/\10/' -e 's/x/1/'")


GENUINE = _wrapped("")
MISSING = Signing(lambda key, signed: None, None)
ZEROS = _constant("0" * 64)
UPPER = _filtered(bytes.upper, "tr a-f A-F")

# Why it matters

_LOST = "The provider takes any answer but 2xx for a failure: it tries four times more, then the event is lost."
RAW = Hint(
    _LOST,
    "Verify the signature over the bytes of the body as they came, before anything parses them; then parse these.",
)
EVENT = Hint(_LOST, "Answer 2xx to every event that is signed; read `event` first, and count on nothing else in it.")
REPEAT = Hint(
    _LOST + " A repeat is no mistake: an answer that got lost is followed by one.",
    "Answer 2xx to a repeat as well, and do the work once: tell repeats by `generation_id` and `event`.",
)
FORGED = Hint(
    "Anybody who knows the URL can report a generation as completed, with an output and a cost of their own.",
    "Compute the HMAC-SHA256 of the raw body in lower-case hexadecimal digits, and compare all 64 in constant time.",
)
CHANGED = Hint(
    "Whoever can change a delivery on its way can change what it says.",
    "Sign every byte of the body that came, and nothing that was made of it.",
)
CRASH = Hint(_LOST, "Find what throws, or takes so long: such a delivery may come any day.")
_BROKEN = "A forgery is to be refused with a 4xx. A 5xx shows that it got into code that was not made for it."
LENGTH = Hint(_BROKEN, "Compare the lengths first: functions such as timingSafeEqual throw when they differ.")
ABSENT = Hint(_BROKEN, "Take a missing header for an empty signature.")
ASCII = Hint(
    _BROKEN,
    "Compare bytes, not text: compare_digest takes no text beyond ASCII, and one character may be several bytes.",
)
REFUSE = Hint(_BROKEN, "Answer 401 to whatever does not verify, and look at nothing else before.")
BEFORE = Hint(
    "Whoever knows the URL can send it; what breaks on it does so before the signature was looked at.",
    "Verify the signature first, over the raw bytes, and parse afterwards.",
)
ODD = Hint(
    "A receiver that breaks on one body breaks on each of its four retries.",
    "Answer 2xx or 4xx: a signed body that is no event of yours may be acknowledged or refused, not crashed on.",
)


# What is sent


def deliveries(tag: str, timestamp: str) -> tuple[Delivery, ...]:
    """Everything a receiver is judged by, in the order in which it is sent.

    `tag` goes into every generation_id, so that no receiver knows one from an earlier run; `timestamp` into every
    event, so that a receiver may refuse stale ones.
    """

    def plain(name: str, **changed: str) -> str:
        return _completed(_id(tag, name), timestamp, **changed)

    return (
        *_genuine(plain),
        *_failures(tag, timestamp),
        *_forged_signatures(plain),
        *_changed_bodies(plain),
        *_hostile(plain),
        *_odd(plain),
    )


def _id(tag: str, name: str) -> str:
    """Of the form that the documentation shows."""
    return f"gen_{hashlib.sha256(f'{tag} {name}'.encode()).hexdigest()[:12]}"


def _completed(id: str, timestamp: str, *, cost: str = "3.22", more: str = "") -> str:
    """generation.completed as the documentation shows it, on one line."""
    data = (
        f'{{"model":"veo-3-1","mode":"text","output_url":"https://cdn.prospolabs.com/results/{id}.mp4",'
        f'"cost_usd":{cost},"duration_ms":42180{more}}}'
    )
    return f'{{"event":"generation.completed","generation_id":"{id}","data":{data},"timestamp":"{timestamp}"}}'


def _taken(name: str, what: str, text: str, hint: Hint = RAW) -> Delivery:
    body = text.encode()
    return Delivery(f"genuine-{name}", what, "taken", hint, CRASH, body, GENUINE, body)


def _genuine(plain: Callable[..., str]) -> Iterator[Delivery]:
    """What JSON allows the provider to write."""
    yield _taken("compact", "no white space", plain("compact"))
    written = {
        "cost-0.40": ("a cost written 0.40", {"cost": "0.40"}),
        "cost-3.0": ("a cost written 3.0", {"cost": "3.0"}),
        "cost-3e0": ("a cost written 3e0", {"cost": "3e0"}),
        "many-digits": ("a cost of 30 digits", {"cost": "3.22000000000000000000000000001"}),
        "large-integer": ("an integer beyond 2^53", {"more": ',"seed":9007199254740993'}),
        "text-escaped": (r"é written \u00e9", {"more": r',"prompt":"caf\u00e9"'}),
        "text-raw": ("é written as it is", {"more": ',"prompt":"café"'}),
        "emoji-escaped": ("a character beyond 16 bits, escaped", {"more": r',"prompt":"\ud83c\udfac"'}),
        "emoji-raw": ("a character beyond 16 bits, as it is", {"more": ',"prompt":"🎬"'}),
        "slash-escaped": (r"/ written \/", {"more": r',"note":"16\/9"'}),
        "html-escaped": (r"< written \u003c", {"more": r',"note":"\u003cb\u003e"'}),
        "empty-strings": ("empty strings, and an empty name", {"more": ',"note":"","":""'}),
        "extra-members": ("members that nothing documents", {"more": ',"x":{"y":[null,true,{"z":[]}],"n":-0}'}),
        "nested": ("64 levels of nesting", {"more": f',"x":{"[" * 64}{"]" * 64}'}),
        "long": ("a text of 20,000 characters", {"more": f',"prompt":"{"x" * 20_000}"'}),
    }
    for name, (what, changed) in written.items():
        yield _taken(name, what, plain(name, **changed))
    laid_out: dict[str, tuple[str, Callable[[str], str]]] = {
        "indented": ("the layout of the documentation", lambda text: json.dumps(json.loads(text), indent=2)),
        "spaced": ("a space after each comma and colon", lambda text: json.dumps(json.loads(text))),
        "tabs-crlf": ("tabs and CRLF", lambda text: json.dumps(json.loads(text), indent="\t").replace("\n", "\r\n")),
        "other-order": (
            "another order of the members",
            lambda text: _compact(dict(reversed(json.loads(text).items()))),
        ),
        "sorted": ("its members sorted", lambda text: _compact(json.loads(text), is_sorted=True)),
        "sorted-spaced": ("its members sorted, and spaces", lambda text: json.dumps(json.loads(text), sort_keys=True)),
        "newline-after": ("a newline at the end", lambda text: text + "\n"),
        "space-before": ("white space at the beginning", lambda text: f" \n{text}"),
    }
    for name, (what, change) in laid_out.items():
        yield _taken(name, what, change(plain(name)))
    yield replace(
        _taken("header-lower-case", "the name of the header in lower case", plain("lower")), is_header_lower=True
    )
    yield replace(_taken("repeated", "the same delivery three times", plain("repeated"), REPEAT), times=3)


def _compact(value: object, *, is_sorted: bool = False) -> str:
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False, sort_keys=is_sorted)


def _failures(tag: str, timestamp: str) -> Iterator[Delivery]:
    """generation.failed, of whose `data` nothing is documented."""
    kinds = {
        "failed": ("generation.failed", ',"data":{"model":"veo-3-1","mode":"text"}'),
        "failed-null": ("generation.failed whose data is null", ',"data":null'),
        "failed-bare": ("generation.failed without data", ""),
    }
    for name, (what, data) in kinds.items():
        text = f'{{"event":"generation.failed","generation_id":"{_id(tag, name)}"{data},"timestamp":"{timestamp}"}}'
        yield _taken(name, what, text, EVENT)


def _forged_signatures(plain: Callable[..., str]) -> Iterator[Delivery]:
    """A harmless body with every signature that it does not have."""
    forms: dict[str, tuple[str, Signing]] = {
        "missing": ("no signature at all", MISSING),
        "empty": ("an empty signature", _constant("")),
        "zeros": ("64 zeros", ZEROS),
        "other-secret": (
            "the signature by another secret",
            Signing(
                lambda key, signed: _hmac(OTHER_SECRET.encode(), signed),
                f"$(openssl dgst -sha256 -hmac {OTHER_SECRET} -r < signed | cut -c1-64)",
            ),
        ),
        "no-secret": (
            "the signature by an empty secret",
            Signing(
                lambda key, signed: _hmac(b"", signed), "$(openssl dgst -sha256 -hmac '' -r < signed | cut -c1-64)"
            ),
        ),
        "first-digit": ("the signature with its first digit changed", _digit_changed(0)),
        "middle-digit": ("the signature with its 33rd digit changed", _digit_changed(32)),
        "last-digit": ("the signature with its last digit changed", _digit_changed(63)),
        "one-digit": ("the first digit of the signature", _filtered(lambda hex: hex[:1], "cut -c1")),
        "half": ("the first half of the signature", _filtered(lambda hex: hex[:32], "cut -c1-32")),
        "short": ("the signature without its last digit", _filtered(lambda hex: hex[:63], "cut -c1-63")),
        "headless": ("the signature without its first digit", _filtered(lambda hex: hex[1:], "cut -c2-")),
        "long": ("the signature and one digit more", _wrapped("", "0")),
        "twice": ("the signature twice", _filtered(lambda hex: hex * 2, "sed 's/.*/&&/'")),
        "space-inside": (
            "the signature with a space in the middle",
            _filtered(lambda hex: hex[:32] + b" " + hex[32:], r"sed 's/^.\{32\}/& /'"),
        ),
        "prefix": ("the signature behind sha256=", _wrapped("sha256=")),
        "listed": ("a wrong signature, a comma and the genuine one", _wrapped(f"{'0' * 64},")),
        "base64": (
            "the signature in base64",
            Signing(
                lambda key, signed: base64.b64encode(hmac.digest(key, signed, "sha256")),
                f"$({_OPENSSL} -binary < signed | base64)",
            ),
        ),
        "sha1": (
            "an HMAC-SHA1",
            Signing(
                lambda key, signed: _hmac(key, signed, "sha1"),
                f"$({_OPENSSL.replace('sha256', 'sha1')} -r < signed | cut -c1-40)",
            ),
        ),
        "without-key": (
            "the SHA-256 of the body, for which nobody needs the secret",
            Signing(
                lambda key, signed: hashlib.sha256(signed).hexdigest().encode(),
                "$(openssl dgst -sha256 -r < signed | cut -c1-64)",
            ),
        ),
        "non-ascii": (
            "64 characters beyond ASCII",
            Signing(lambda key, signed: b"\xe9" * 64, r"$(printf '\351%.0s' $(seq 64))"),
        ),
        "non-ascii-32": ("32 characters of two bytes each", _constant("é" * 32)),
        "no-hex": ("64 letters that are no digits", _constant("z" * 64)),
        "word": ("the word true", _constant("true")),
        "very-long": ("4,000 digits", _constant("0" * 4000)),
    }
    for name, (what, signing) in forms.items():
        body = plain(f"forged-{name}").encode()
        breaks = _BREAKS.get(name, REFUSE)
        yield Delivery(f"forged-{name}", what, "refused", FORGED, breaks, body, signing, body)


_BREAKS = {
    "missing": ABSENT,
    "empty": ABSENT,
    "non-ascii": ASCII,
    "non-ascii-32": ASCII,
    **dict.fromkeys(("one-digit", "half", "short", "headless", "long", "twice", "very-long"), LENGTH),
}
"""What a form of signature shows of a receiver that breaks on it."""


def _changed_bodies(plain: Callable[..., str]) -> Iterator[Delivery]:
    """A signature that is genuine, of a body that is another one."""

    def forged(name: str, what: str, body: bytes, signed: bytes) -> Delivery:
        return Delivery(f"forged-{name}", what, "refused", CHANGED, REFUSE, body, GENUINE, signed)

    regions = {
        "event": ("the event", b"completed"),
        "generation-id": ("the generation_id", b"gen_"),
        "cost": ("the cost", b"3.22"),
        "url": ("the output_url", b"cdn."),
        "name": ("the name of a member", b"model"),
        "timestamp": ("the timestamp", b"Z"),
    }
    for name, (what, around) in regions.items():
        body = plain(f"flip-{name}").encode()
        at = body.index(around)
        yield forged(f"flip-{name}", f"one bit of {what} flipped", _flipped(body, at), body)
    body = plain("flip-first").encode()
    yield forged("flip-first", "one bit of the first byte flipped", _flipped(body, 0), body)
    body = plain("flip-last").encode()
    yield forged("flip-last", "one bit of the last byte flipped", _flipped(body, len(body) - 1), body)
    written = {
        "cost-0.4": ("a cost of 0.4 with the signature of 0.40", {"cost": "0.4"}, {"cost": "0.40"}),
        "cost-0.40": ("a cost of 0.40 with the signature of 0.4", {"cost": "0.40"}, {"cost": "0.4"}),
        "unescaped": (r"é with the signature of \u00e9", {"more": ',"x":"é"'}, {"more": r',"x":"\u00e9"'}),
        "escaped": (r"\u00e9 with the signature of é", {"more": r',"x":"\u00e9"'}, {"more": ',"x":"é"'}),
        "other-cost": ("another cost", {"cost": "0.01"}, {}),
    }
    for name, (what, sent, signed) in written.items():
        yield forged(name, what, plain(f"forged-{name}", **sent).encode(), plain(f"forged-{name}", **signed).encode())
    text = plain("layout")
    spaced = json.dumps(json.loads(text))
    sorted_ = _compact(json.loads(text), is_sorted=True)
    other = plain("another")
    yield forged("spaced", "spaces, with the signature of the body without", spaced.encode(), text.encode())
    yield forged("unspaced", "no spaces, with the signature of the body with", text.encode(), spaced.encode())
    yield forged("sorted", "its members sorted, with the signature of their order", sorted_.encode(), text.encode())
    yield forged("newline", "a newline more than what was signed", f"{text}\n".encode(), text.encode())
    yield forged("no-newline", "a newline less than what was signed", text.encode(), f"{text}\n".encode())
    yield forged("cut-off", "the last byte cut off", text.encode()[:-1], text.encode())
    yield forged("other-body", "the signature of another event", text.encode(), other.encode())
    decoded = plain("decoded", more=',"x":"\ufffd"').encode()
    what = "a byte that is no UTF-8, with the signature of what decoders put in its place"
    yield forged("decoded", what, decoded.replace("\ufffd".encode(), b"\xff"), decoded)
    yield forged("nothing", "no body, with the signature of an event", b"", text.encode())


def _flipped(body: bytes, at: int) -> bytes:
    """The body with the lowest bit of one byte flipped."""
    return body[:at] + bytes([body[at] ^ 1]) + body[at + 1 :]


def _hostile(plain: Callable[..., str]) -> Iterator[Delivery]:
    """Without a signature, and made to break what reads a body first."""
    kinds = {
        "not-json": ("a body that is no JSON", b'{"event":"generation.comp'),
        "not-utf-8": ("a body that is no UTF-8", b'{"event":"\xff\xfe"}'),
        "deep": (f"{DEEP:,} levels of nesting", b"[" * DEEP + b"]" * DEEP),
        "array": ("a list for an event", b"[]"),
        "null": ("null for an event", b"null"),
        "empty-body": ("no body", b""),
    }
    for name, (what, body) in kinds.items():
        yield Delivery(
            f"forged-{name}", f"{what}, with a false signature", "refused", FORGED, BEFORE, body, ZEROS, body
        )
    body = plain("forged-text").encode()
    forged = Delivery("forged-text", "text/plain, with a false signature", "refused", FORGED, REFUSE, body, ZEROS, body)
    yield replace(forged, content_type="text/plain")
    form = "application/x-www-form-urlencoded"
    yield replace(forged, name="forged-form", what="a form, with a false signature", content_type=form)
    yield replace(forged, name="forged-put", what="PUT for POST, with a false signature", method="PUT")


def _odd(plain: Callable[..., str]) -> Iterator[Delivery]:
    """What the documentation leaves open: to take it is right, and to refuse it as well."""

    def odd(
        name: str, what: str, body: bytes, signing: Signing = GENUINE, *, taken: str = "", refused: str = ""
    ) -> Delivery:
        remarks: Mapping[Literal["taken", "refused"], str] = {"taken": taken, "refused": refused}
        return Delivery(f"odd-{name}", what, "answered", ODD, ODD, body, signing, body, remarks=remarks)

    said = "it compares digits in either case, which is no weakness"
    yield odd("upper-case", "the signature in upper case", plain("upper").encode(), UPPER, taken=said)
    new = plain("new").replace('"generation.completed"', '"generation.new"').encode()
    said = "an event that is added one day would be sent five times, and be lost"
    yield odd("unknown-event", "an event that nothing documents", new, refused=said)
    said = "the documentation does not say that the provider leaves the charset out"
    charset = odd("charset", "application/json; charset=utf-8", plain("charset").encode(), refused=said)
    yield replace(charset, content_type="application/json; charset=utf-8")
    yield replace(odd("text", "text/plain, signed", plain("odd-text").encode()), content_type="text/plain")
    yield replace(odd("no-type", "no Content-Type, signed", plain("odd-type").encode()), content_type=None)
    yield odd("empty-body", "no body, signed", b"")
    yield odd("not-json", "a body that is no JSON, signed", b'{"event":"generation.comp')
    yield odd("not-utf-8", "a body that is no UTF-8, signed", b'{"event":"\xff\xfe"}')
    yield odd("array", "a list for an event, signed", b"[]")
    yield odd("null", "null for an event, signed", b"null")
    yield odd("wrong-types", "members of other types, signed", b'{"event":1,"generation_id":["x"],"data":"x"}')
    yield odd("deep", f"{DEEP:,} levels of nesting, signed", b"[" * DEEP + b"]" * DEEP)
    huge = plain("huge", more=f',"prompt":"{"x" * HUGE_BYTES}"').encode()
    said = "a limit, such as 1 MB, keeps strangers from filling the memory"
    yield replace(odd("huge", "5 MB, signed", huge, taken=said), expected="limited")
    get = odd("get", "GET, without a body", b"", MISSING, taken="see that it does nothing else")
    yield replace(get, method="GET", content_type=None)
