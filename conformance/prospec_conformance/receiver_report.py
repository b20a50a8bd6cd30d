"""What `prospec conformance receiver` found, as JSON for programs and as text for people.

Neither the secret, nor a genuine signature, nor the path of the receiver gets into either. Here live no I/O and no
judgement.
"""

from __future__ import annotations

import json
import re
import shlex
from collections import Counter
from typing import Any
from urllib.parse import urlsplit

from prospec.terminal import plain

from .deliveries import Delivery, Hint, genuine_signature
from .receiving import ReceiverTarget, Reception
from .reception import EXPECTED, Judged
from .redaction import Redaction

COMMAND_SHOWN = 1500
"""Characters of a command beyond which the text names the report instead."""
ANSWER_SHOWN = 200
_RUN = re.compile(rb"(.)\1{199,}", re.DOTALL)
"""So many times the same byte that a shell repeats it."""


def counts(reception: Reception) -> dict[str, int]:
    """Deliveries by outcome."""
    found = Counter(each.outcome for each in reception.judged)
    return {outcome: found[outcome] for outcome in ("passed", "noted", "failed", "skipped")}


def as_json(reception: Reception) -> str:
    """report.json. `url` in a command is a variable of the shell, for the URL that was given."""
    document = {
        "receiver": reception.target.origin,
        "complete": is_complete(reception),
        "summary": counts(reception),
        "seconds": round(reception.seconds, 3),
        "flaws": [
            {"title": each.title, "shown_by": list(each.shown_by), "why": each.hint.why, "mend": each.hint.mend}
            for each in reception.flaws
        ],
        "deliveries": [_as_json(each, reception.target) for each in reception.judged],
    }
    return json.dumps(document, indent=2) + "\n"


def is_complete(reception: Reception) -> bool:
    return not any(each.outcome == "skipped" for each in reception.judged)


def _as_json(judged: Judged, target: ReceiverTarget) -> dict[str, Any]:
    delivery = judged.delivery
    return {
        "name": delivery.name,
        "what": delivery.what,
        "expected": EXPECTED[delivery.expected],
        "outcome": judged.outcome,
        "reason": judged.reason,
        "why": judged.hint.why if judged.hint else None,
        "mend": judged.hint.mend if judged.hint else None,
        "sent": command(delivery, target.header),
        "status": judged.answer.status if judged.answer else None,
        "answer": _answer(judged, target) if judged.answer else None,
    }


def command(delivery: Delivery, header: str) -> str:
    """The delivery for a shell, with the URL in $URL and the secret in the variable of the environment."""
    lines = [f"{_bytes(delivery.body)} > body"]
    shell = delivery.signing.shell
    if shell is not None and delivery.signed == delivery.body:
        shell = shell.replace("< signed", "< body")
    elif shell is not None:
        lines.append(f"{_bytes(delivery.signed)} > signed")
    parts = ["curl", "-sS", "-i", "-X", delivery.method, '"$URL"']
    parts += ["-H", shlex.quote(f"Content-Type: {delivery.content_type}" if delivery.content_type else "Content-Type:")]
    name = header.lower() if delivery.is_header_lower else header
    if shell is not None:
        # curl leaves out a header without a value, unless a semicolon stands for the colon.
        parts += ["-H", f'"{name}: {shell}"' if shell else f"'{name};'"]
    if delivery.method != "GET":
        parts += ["--data-binary", "@body"]
    return "\n".join([*lines, *[" ".join(parts)] * delivery.times])


def _bytes(content: bytes) -> str:
    """Commands of a shell that print these bytes and nothing else."""
    prints: list[str] = []
    end = 0
    for run in _RUN.finditer(content):
        prints += _printed(content[end : run.start()])
        prints.append(f"head -c {len(run[0])} /dev/zero | tr '\\000' '\\{run[0][0]:03o}'")
        end = run.end()
    prints += _printed(content[end:]) or ([] if prints else [":"])
    return prints[0] if len(prints) == 1 else f"{{ {'; '.join(prints)}; }}"


def _printed(content: bytes) -> list[str]:
    shown = "".join(chr(byte) if 0x20 <= byte < 0x7F and byte not in b"'\\%" else f"\\{byte:03o}" for byte in content)
    return [f"printf '{shown}'"] if shown else []


def _answer(judged: Judged, target: ReceiverTarget) -> str:
    """The beginning of an answer, without control characters and without what is nobody else's business."""
    parts = urlsplit(target.url)
    hidden = (target.secret, *(each for each in (parts.path, parts.query) if len(each) > 1))
    bodies = (judged.delivery.body, judged.delivery.signed)
    redact = Redaction(hidden, [genuine_signature(target.secret, body) for body in bodies])
    text = (judged.answer.body if judged.answer else b"").decode("utf-8", "replace")
    return plain(redact.beginning(text, ANSWER_SHOWN))


def as_text(reception: Reception) -> str:
    """The flaws, each with a delivery that shows it; then a line for each delivery that failed or is worth knowing."""
    by_name = {each.delivery.name: each for each in reception.judged}
    lines = []
    for flaw in reception.flaws:
        first, *others = flaw.shown_by
        more = f" and {len(others) - 3} more" if len(others) > 3 else ""
        lines += [f"flaw    {flaw.title}", f"          shown by {', '.join((first, *others[:3]))}{more}"]
        lines += _details(by_name[first], flaw.hint, reception.target)
    explained = {name for flaw in reception.flaws for name in flaw.shown_by}
    for each in reception.judged:
        if each.outcome in ("failed", "noted"):
            lines.append(f"{each.outcome:7} {each.delivery.name}: {each.delivery.what}: {each.reason}")
        if each.hint and each.delivery.name not in explained:
            lines += _details(each, each.hint, reception.target)
    skipped = Counter(each.reason for each in reception.judged if each.outcome == "skipped")
    lines += [f"skipped {count} deliveries: {reason}" for reason, count in skipped.items()]
    return "\n".join(lines)


def _details(judged: Judged, hint: Hint, target: ReceiverTarget) -> list[str]:
    lines = [hint.why, hint.mend]
    sent = command(judged.delivery, target.header)
    lines += sent.split("\n") if len(sent) <= COMMAND_SHOWN else ["too long to show: its command is in report.json"]
    if judged.answer and (answer := _answer(judged, target)):
        lines.append(f"answer: {answer}")
    return [f"          {line}" for line in lines]


def conclusion(reception: Reception) -> str:
    """One line."""
    told = ", ".join(f"{count} {outcome}" for outcome, count in counts(reception).items() if count)
    unfinished = "" if is_complete(reception) else " Not everything was judged."
    return f"{told}; {len(reception.judged)} deliveries in {reception.seconds:.1f} s.{unfinished}"
