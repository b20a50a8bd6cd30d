"""Keeps secrets out of what is shown: the run's own in any usual encoding, and whatever has the form of one.

The one place that does it. Here live no I/O and nothing that knows where a text will be shown.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterable, Iterator
from urllib.parse import quote, quote_plus

MARK = "[redacted]"
SHORTEST = 6
"""Characters of a secret that may be a coincidence when fewer stand together."""
_LOOKED_AT = 65_536
"""Characters of a long text that are gone through, when only its beginning is shown."""
_SEPARATOR = r"(?:[?&;]|&amp;|&#38;|%3[fF]|%26|\\u0026|\\u003[fF])"
_EQUALS = r"(?:=|%3[dD]|\\u003[dD])"
_NAMED = r"[\w.\-]*(?i:token|signature|sig|secret|key|credential|password|policy|auth)"
_VALUE = r"(?:(?!%26|&|\\u0026)[^\"'\s\\<>])+"
_FORMS = re.compile(
    # A query of a URL may sign it, whatever the names in it are; a user may have a password.
    r"(?P<url>https?:(?:\\?/){2}[^\s\"'<>?#\\@]*(?:\\/[^\s\"'<>?#\\@]*)*)"
    r"(?:(?P<user>@)|(?P<query>(?:\?|\\u003[fF])(?:\\[/u]|[^\s\"'<>\\])+))"
    # Keys, upload tokens, and a value whose name says that it is one.
    rf"|prsp-[\w-]+|pl-upload-[\w-]+|(?P<name>{_SEPARATOR}{_NAMED}{_EQUALS}){_VALUE}"
)
_LOWER = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "abcdefghijklmnopqrstuvwxyz")
"""As `str.lower`, which may change the length, for ASCII alone."""


class Redaction:
    """Knows the secrets of one run."""

    def __init__(self, secrets: Iterable[str], tokens: Iterable[str] = ()) -> None:
        """`tokens` were handed out by the server. They are many, so they are known whole and as they are alone.

        An empty secret is none, and a short token is a word like any other.
        """
        pieces = {token.translate(_LOWER) for token in tokens if len(token) >= SHORTEST}
        for form in {form.translate(_LOWER) for secret in secrets if secret for form in _encoded(secret)}:
            # A text may have been cut within a secret, and a forged key is a genuine one but for a letter.
            length = max(len(form) // 2, min(SHORTEST, len(form)))
            pieces |= {form[at : at + length] for at in range(len(form) - length + 1)}
        self._pieces: dict[str, list[str]] = {}
        """By how they begin: few of them have to be looked for in any text."""
        for piece in pieces:
            self._pieces.setdefault(piece[:SHORTEST], []).append(piece)
        self._short = [beginning for beginning in self._pieces if len(beginning) < SHORTEST]

    def __repr__(self) -> str:
        return "Redaction()"

    def __call__(self, text: str) -> str:
        """The text without them."""
        folded = text.translate(_LOWER)
        there = self._pieces.keys() & {folded[at : at + SHORTEST] for at in range(len(folded) - SHORTEST + 1)}
        pieces = [piece for beginning in (*there, *self._short) for piece in self._pieces[beginning]]
        found = sorted(span for piece in pieces for span in _spans(piece, folded))
        if found:
            parts: list[str] = []
            end = 0
            for start, stop in found:
                if start > end or not parts:
                    parts += [text[end:start], MARK]
                end = max(end, stop)
            text = "".join((*parts, text[end:]))
        return _FORMS.sub(_without, text)

    def beginning(self, text: str, longest: int) -> str:
        """The first characters of it, without them. Cut afterwards, so that no part of one is left at the end."""
        if len(text) > _LOOKED_AT:
            # What the cut left of a secret at the end goes with whatever stood around it.
            text = self(text[:_LOOKED_AT])[: _LOOKED_AT // 2]
            return text[:longest]
        return self(text)[:longest]


def _spans(piece: str, text: str) -> Iterator[tuple[int, int]]:
    at = text.find(piece)
    while at >= 0:
        yield at, at + len(piece)
        at = text.find(piece, at + 1)


def _without(match: re.Match[str]) -> str:
    if match["url"] is None:
        return f"{match['name'] or ''}{MARK}"
    if match["user"]:
        scheme, slashes, _ = re.split(r"((?:\\?/){2})", match["url"], maxsplit=1)
        return f"{scheme}{slashes}{MARK}@"
    start = 1 if match["query"].startswith("?") else len(r"\u003f")
    return f"{match['url']}{match['query'][:start]}{MARK}"


def _encoded(secret: str) -> Iterator[str]:
    """A secret as it may stand in a text."""
    raw = secret.encode("utf-8", "surrogatepass")
    yield from (secret, secret[::-1], quote(secret, safe="", errors="replace"), quote_plus(secret, errors="replace"))
    yield from (json.dumps(secret)[1:-1], json.dumps(secret, ensure_ascii=False)[1:-1])
    yield json.dumps(json.dumps(secret)[1:-1])[1:-1]
    yield from (raw.hex(), raw.hex(" "), raw.hex(":"))
    yield "".join(f"%{byte:02x}" for byte in raw)
    yield "".join(f"\\x{byte:02x}" for byte in raw)
    for slashes in ("\\", "\\\\"):
        yield "".join(f"{slashes}u{ord(character):04x}" for character in secret)
    yield "".join(f"&#{ord(character)};" for character in secret)
    yield "".join(f"&#x{ord(character):x};" for character in secret)
    for encode in (base64.b64encode, base64.urlsafe_b64encode):
        for offset in range(3):
            # The signs that hold bits of what stands before and after are left out.
            start = (0, 2, 3)[offset]
            whole = encode(b"\0" * offset + raw).decode()
            yield whole[start : (offset + len(raw)) * 8 // 6]
