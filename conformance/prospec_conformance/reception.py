"""What a webhook receiver's answers say about it: a verdict a delivery, and the flaws that their pattern shows.

Here live no I/O and no wording of a report.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

from .deliveries import CHANGED, EVENT, RAW, REPEAT, Delivery, Hint, genuine_signature
from .stringify import rewritten

Outcome = Literal["failed", "noted", "passed", "skipped"]
"""Wrong; right, and worth knowing; right; not learned."""
Silence = Literal["late", "dropped", "unconnected"]
"""No whole answer in time; the connection ended without one; no connection came about."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes = field(repr=False)
    """The beginning of it."""


@dataclass(frozen=True, slots=True)
class Judged:
    """One delivery and the verdict on what came."""

    delivery: Delivery
    outcome: Outcome
    reason: str
    answer: Answer | None = None
    """The one that the verdict rests on."""
    hint: Hint | None = None
    """Of a failure."""

    @property
    def is_taken(self) -> bool:
        return self.answer is not None and 200 <= self.answer.status < 300

    @property
    def is_refused(self) -> bool:
        """A 4xx that is about the delivery, which 429 is not."""
        return self.outcome != "skipped" and self.answer is not None and 400 <= self.answer.status < 500

    @property
    def is_broken(self) -> bool:
        """It got into code that was not made for it: a 5xx, or no answer at all."""
        return self.outcome == "failed" and (self.answer is None or self.answer.status >= 500)


@dataclass(frozen=True, slots=True)
class Flaw:
    """One cause of several verdicts."""

    title: str
    shown_by: tuple[str, ...]
    """Names of deliveries."""
    hint: Hint


SILENCES: Mapping[Silence, str] = {
    "late": "got no whole answer in time",
    "dropped": "the connection ended without an answer",
    "unconnected": "no connection came about, though there was one before: the delivery before may have ended it",
}
EXPECTED = {"taken": "2xx", "refused": "4xx", "answered": "2xx or 4xx", "limited": "2xx or 4xx"}
CASE = Hint(
    "HTTP has no case in the name of a header, and HTTP/2 knows lower case alone.",
    "Read headers by the means of your framework, which has no case in their names either.",
)
LEAK = Hint(
    "Whoever sends a forgery is told how to make it genuine.",
    "Answer a refusal with nothing but its status and a fixed text.",
)


def judge(delivery: Delivery, came: Sequence[Answer | Silence], secret: str) -> Judged:
    """The verdict on one delivery, given what came each time it was sent; the worst counts."""
    return min(
        (_judge(delivery, each, secret) for each in came),
        key=lambda judged: ("failed", "skipped", "noted", "passed").index(judged.outcome),
    )


def _judge(delivery: Delivery, came: Answer | Silence, secret: str) -> Judged:
    expected = EXPECTED[delivery.expected]
    if not isinstance(came, Answer):
        if came == "dropped" and delivery.expected == "limited":
            return Judged(delivery, "passed", "the connection was ended before an answer could be read")
        return Judged(delivery, "failed", f"{SILENCES[came]}; expected {expected}", hint=delivery.hint_if_broken)
    if leaked := _leaked(came.body, delivery, secret):
        return Judged(delivery, "failed", f"was answered {came.status}, and the answer holds {leaked}", came, LEAK)
    status = came.status
    if status == 429:
        return Judged(delivery, "skipped", "was answered 429, the receiver's rate limit", came)
    if delivery.method != "POST" and status == 501:
        return Judged(delivery, "passed", "was answered 501", came)
    is_taken, is_refused = 200 <= status < 300, 400 <= status < 500
    if delivery.expected in ("answered", "limited"):
        if remark := delivery.remarks.get("taken" if is_taken else "refused") if is_taken or is_refused else None:
            return Judged(delivery, "noted", f"was answered {status}: {remark}", came)
        # A page for people may lead elsewhere.
        is_right = is_taken or is_refused or (delivery.method == "GET" and status < 400)
    else:
        is_right = is_taken if delivery.expected == "taken" else is_refused
    if is_right:
        return Judged(delivery, "passed", f"was answered {status}", came)
    hint = delivery.hint_if_broken if status >= 500 else delivery.hint
    return Judged(delivery, "failed", f"was answered {status}, expected {expected}", came, hint)


def _leaked(answer: bytes, delivery: Delivery, secret: str) -> str | None:
    """What of the secret an answer gives away; an echo of what was sent is none."""
    if secret.encode() in answer and len(secret) >= 8:
        return "the secret"
    genuine = genuine_signature(secret, delivery.body).encode()
    sent = delivery.signature(secret) or b""
    if genuine in answer.lower() and genuine not in sent.lower():
        return "the signature that would be genuine"
    return None


# The pattern


def flaws(all_judged: Sequence[Judged]) -> tuple[Flaw, ...]:
    """The causes that explain the failures, each with the deliveries that show it."""
    return tuple(_Pattern({each.delivery.name: each for each in all_judged}).flaws())


LAYOUTS = tuple(
    f"genuine-{name}"
    for name in (
        "compact",
        "cost-0.40",
        "cost-3.0",
        "cost-3e0",
        "many-digits",
        "indented",
        "spaced",
        "tabs-crlf",
        "sorted",
        "sorted-spaced",
    )
)
"""The same event as different programs write it."""
WRITERS: Mapping[str, Callable[[bytes], bytes | None]] = {
    "JSON.stringify": rewritten,
    "json.dumps": lambda body: json.dumps(json.loads(body)).encode(),
}
REWRITTEN = tuple(
    f"forged-{name}"
    for name in ("cost-0.4", "cost-0.40", "unescaped", "escaped", "spaced", "unspaced", "sorted", "decoded")
)
"""Bodies that mean the same as the one that was signed, once a decoder has put U+FFFD for what is no UTF-8."""
ENDS = ("genuine-newline-after", "genuine-space-before")
CONTENTS = tuple(
    f"genuine-{name}"
    for name in (
        *("large-integer", "text-escaped", "text-raw", "emoji-escaped", "emoji-raw", "slash-escaped", "html-escaped"),
        *("empty-strings", "extra-members", "nested", "long"),
    )
)
"""Events that say more than the documented one."""
LENGTHS = tuple(f"forged-{name}" for name in ("one-digit", "half", "short", "headless", "long", "twice", "very-long"))
PARTS = (*LENGTHS, *(f"forged-{name}" for name in ("first-digit", "middle-digit", "last-digit", "listed")))
"""Signatures that share digits with the genuine one."""
OTHER_FORMS = tuple(f"forged-{name}" for name in ("prefix", "base64", "sha1", "space-inside"))
UNREAD = tuple(f"forged-{name}" for name in ("not-json", "not-utf-8", "deep", "array", "null", "empty-body"))
FALSE = ("forged-zeros", "forged-no-hex", "forged-word", "forged-other-body")
"""Signatures that share nothing with the genuine one."""


@dataclass(frozen=True, slots=True)
class _Pattern:
    by_name: Mapping[str, Judged]

    def flaws(self) -> Iterator[Flaw]:
        layouts = [self.by_name[name] for name in LAYOUTS if name in self.by_name]
        if not any(each.is_taken for each in layouts):
            yield from self._never_takes(layouts)
            return
        if false := self._taken(FALSE):
            yield Flaw("does not check the signature, or says nothing of it", false, self._hint(false))
            return
        refused = self._those(LAYOUTS, lambda each: each.is_refused)
        equal = self._taken(REWRITTEN)
        decoded = ("forged-decoded",)
        if refused or set(equal) > set(decoded):
            genuine = [name for name, each in self.by_name.items() if each.delivery.expected == "taken"]
            refused = self._those(genuine, lambda each: each.is_refused)
            yield Flaw(f"re-serialises the parsed body{self._writer()}", refused + equal, RAW)
        elif equal == decoded:
            yield Flaw("decodes the body before it signs it", decoded, CHANGED)
        elif ends := self._those(ENDS, lambda each: each.is_refused) + self._taken(("forged-newline",)):
            yield Flaw("trims the body before it signs it", ends, RAW)
        elif contents := self._those(CONTENTS, lambda each: each.outcome == "failed"):
            yield Flaw("does not take an event for what else is in it", contents, EVENT)
        yield from self._wrongly_taken()
        other = self._those(FALSE, lambda each: each.outcome == "failed" and each.hint is not LEAK)
        if set(other) == set(FALSE):
            yield Flaw("refuses with something else than a 4xx", other, self._hint(other))
        else:
            yield from self._breaks()
        # These are written as the compact one is.
        if self._taken(("genuine-compact",)):
            if repeat := self._those(("genuine-repeated",), lambda each: each.outcome == "failed"):
                yield Flaw("takes a repeat for a mistake", repeat, REPEAT)
            failures = ("genuine-failed", "genuine-failed-null", "genuine-failed-bare")
            if unhandled := self._those(failures, lambda each: each.outcome == "failed"):
                yield Flaw("does not take generation.failed in every form that it may have", unhandled, EVENT)
            if cased := self._those(("genuine-header-lower-case",), lambda each: each.outcome == "failed"):
                yield Flaw("knows the header in one case only", cased, CASE)
        if leaks := self._those(tuple(self.by_name), lambda each: each.hint is LEAK):
            yield Flaw("tells what only the provider may know", leaks, LEAK)

    def _writer(self) -> str:
        """As whose the receiver's way of writing JSON shows itself, if it does."""
        layouts = [self.by_name[name] for name in LAYOUTS if name in self.by_name]
        for name, write in WRITERS.items():
            if all(each.is_taken is (write(each.delivery.body) == each.delivery.body) for each in layouts):
                return f", as {name} does"
        return ""

    def _never_takes(self, layouts: Sequence[Judged]) -> Iterator[Flaw]:
        """Nothing else can be told of a receiver that takes nothing."""
        statuses = {each.answer.status if each.answer else None for each in layouts if each.outcome != "skipped"}
        shown = tuple(each.delivery.name for each in layouts[:3])
        if not statuses:
            return
        if statuses <= {None}:
            hint = Hint(
                "The provider gives up a receiver that does not answer.", "Answer within a few seconds, and work later."
            )
            yield Flaw("answers no genuine delivery at all", shown, hint)
        elif any(status is not None and 300 <= status < 400 for status in statuses):
            hint = Hint(
                "A redirect is no 2xx: to the provider it is a failure.", "Give the URL that the redirect leads to."
            )
            yield Flaw("redirects", shown, hint)
        elif statuses <= {404, 405}:
            hint = Hint("Nothing is delivered.", "Check path and method: deliveries are POST requests to the very URL.")
            yield Flaw("there is no receiver at this URL", shown, hint)
        elif statuses <= {400, 401, 403}:
            mend = "Give both sides the same secret, byte for byte; then see whether the receiver signs the raw body."
            hint = Hint("Nothing that the provider sends is taken.", mend)
            yield Flaw("refuses every genuine delivery: another secret, or not the raw body", shown, hint)

    def _wrongly_taken(self) -> Iterator[Flaw]:
        for title, names in (
            ("takes a delivery without a signature", ("forged-missing", "forged-empty")),
            ("compares only a part of the signature", PARTS),
            ("takes other forms of a signature", OTHER_FORMS),
            ("takes what anybody can compute", ("forged-without-key", "forged-no-secret", "forged-other-secret")),
            (
                "checks the signature of some content types or methods only",
                ("forged-text", "forged-form", "forged-put"),
            ),
        ):
            if found := self._taken(names):
                yield Flaw(title, found, self._hint(found))
        flips = [name for name in self.by_name if name.startswith("forged-flip-")]
        if found := self._taken((*flips, "forged-other-cost", "forged-cut-off", "forged-nothing")):
            yield Flaw("signs only a part of the body", found, CHANGED)

    def _breaks(self) -> Iterator[Flaw]:
        odd = [name for name, each in self.by_name.items() if each.delivery.expected in ("answered", "limited")]
        for title, names in (
            ("throws on a signature of another length", LENGTHS),
            ("throws when there is no signature", ("forged-missing", "forged-empty")),
            ("throws on a signature beyond ASCII", ("forged-non-ascii", "forged-non-ascii-32")),
            ("parses a body before it has verified it, and throws", UNREAD),
            ("throws on a signed body or a form of request that it did not expect", odd),
        ):
            if found := self._broken(names):
                yield Flaw(title, found, self._hint(found))

    def _taken(self, names: Sequence[str]) -> tuple[str, ...]:
        return self._those(names, lambda each: each.is_taken)

    def _broken(self, names: Sequence[str]) -> tuple[str, ...]:
        return self._those(names, lambda each: each.is_broken)

    def _those(self, names: Sequence[str], is_so: Callable[[Judged], bool]) -> tuple[str, ...]:
        return tuple(name for name in names if name in self.by_name and is_so(self.by_name[name]))

    def _hint(self, names: Sequence[str]) -> Hint:
        """Of deliveries that all failed in one way."""
        judged = self.by_name[names[0]]
        return judged.hint or judged.delivery.hint
