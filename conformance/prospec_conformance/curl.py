"""A request as a command for a POSIX shell. The run's secrets stand as the variables that hold them.

Here live no I/O and no judgement.
"""

from __future__ import annotations

import json
import re
import shlex
from dataclasses import dataclass
from typing import Any

from .implementation import Exchange, Target
from .mock.server import ENVIRONMENT
from .redaction import MARK, Redaction
from .samples import Padded

LONGEST = 8000
"""Characters of a command that is shown whole."""
FILLED_FROM = 64
"""Zero bytes at the end of a body from which on they are counted, not written."""


@dataclass(frozen=True, slots=True)
class Command:
    """What a reader may paste into a shell."""

    text: str
    is_whole: bool
    """Whether it runs as it stands: nothing was cut, and nothing but the variables is hidden."""


def command(exchange: Exchange, target: Target, redact: Redaction) -> Command:
    """The request of an exchange."""
    write = _Writer(target, redact)
    is_ours = exchange.path.startswith("/")
    # By themselves: to `redact` the query of a whole URL may be a signature, and this one is the suite's own.
    base = redact(target.base_url) if is_ours else ""
    url = write.word(exchange.path, before=base)
    # With -X HEAD curl would wait for a body.
    method = ["--head"] if exchange.method == "HEAD" else ["-i", "-X", exchange.method]
    parts = ["curl", "-sS", *method, url]
    for name, value in exchange.sent_headers.items():
        parts += ["-H", write.word(f"{name}: {value}")]
    before, body = _body(exchange.sent, write)
    text = before + " ".join([*parts, *body])
    return Command(text[:LONGEST], is_ours and len(text) <= LONGEST and MARK not in text)


class _Writer:
    """Writes words of a shell."""

    def __init__(self, target: Target, redact: Redaction) -> None:
        self.redact = redact
        self._variables: dict[str, tuple[str, str]] = {}
        """By what it stands for: a variable, and what is done to it."""
        for name, variable in ENVIRONMENT.items():
            secret = getattr(target, name)
            if secret:
                self._variables[secret] = (variable, "")
                self._variables.setdefault(secret[:-1], (variable, "%?"))
        self._variables.pop("", None)
        # The longer first: one may begin another.
        longest_first = sorted(self._variables, key=len, reverse=True)
        self._secrets = re.compile(f"({'|'.join(map(re.escape, longest_first))})" if longest_first else "(?!)()")

    def word(self, text: str, before: str = "") -> str:
        """One word: secrets as variables, all the rest as it is. `before` has no secret."""
        parts = self._secrets.split(text)
        is_plain = len(parts) > 1 and all(re.fullmatch(r"[\w :./=,;-]*", part) for part in parts[::2])
        out = []
        for at, part in enumerate(parts):
            if at % 2:
                variable, change = self._variables[part]
                ends = not re.match(r"\w", parts[at + 1])
                name = f"${variable}" if ends and not change else f"${{{variable}{change}}}"
                out.append(name if is_plain else f'"{name}"')
            elif part or len(parts) == 1:
                # A shell holds no NUL in a word.
                shown = (before if at == 0 else "") + self.redact(part).replace("\0", MARK)
                out.append(shown if is_plain else shlex.quote(shown))
        return f'"{"".join(out)}"' if is_plain else "".join(out)


def _body(sent: Any, write: _Writer) -> tuple[str, list[str]]:
    """What stands before curl, and what after it."""
    if sent is None:
        return "", []
    if isinstance(sent, Padded):
        return _piped(sent.file, sent.zeros, write)
    if not isinstance(sent, bytes):
        return "", ["--data-raw", write.word(_json(sent))]
    try:
        text = sent[: LONGEST * 4].decode()
    except UnicodeDecodeError:
        text = "\0"
    if text.isprintable() and len(sent) <= LONGEST:
        return "", ["--data-raw", write.word(text)]
    head = sent.rstrip(b"\0")
    zeros = len(sent) - len(head)
    return _piped(sent, 0, write) if zeros < FILLED_FROM else _piped(head, zeros, write)


def _piped(head: bytes, zeros: int, write: _Writer) -> tuple[str, list[str]]:
    """What writes a body of those bytes, and zero bytes after them."""
    written = f"printf {shlex.quote(_octal(write.redact(head[:LONGEST].decode('latin-1')).encode('latin-1')))}"
    if len(head) > LONGEST:
        written = f"{written} {MARK}"
    if zeros:
        written = f"{{ {written}; head -c {zeros} /dev/zero; }}"
    return f"{written} | ", ["--data-binary", "@-"]


def _json(sent: Any) -> str:
    try:
        return json.dumps(sent)
    except (TypeError, ValueError, RecursionError):
        return MARK


def _octal(content: bytes) -> str:
    """For printf, whose format takes no other sign by itself than these."""
    return "".join(chr(byte) if 32 < byte < 127 and chr(byte) not in "-%\\'" else f"\\{byte:03o}" for byte in content)
