"""What must not be seen: the key, upload tokens, signed URLs. They show in no repr; texts are cleared of them.

A debugger or a traceback that prints local variables prints their repr, so each secret is of a type whose repr hides
it. Here lives no HTTP.
"""

from __future__ import annotations

import re
from typing import Any, SupportsIndex

from .service import KEY_PREFIX, TOKEN_PREFIX

HIDDEN = "***"
_LONGEST = 500
_READ = 4_000
"""Characters of a text that are looked at: whoever sends a long one does not get long to search it."""
_secret = re.compile(
    rf"{re.escape(KEY_PREFIX)}[^\s\"',;]+|(?<={re.escape(TOKEN_PREFIX)})[^\s\"',;/?]+|(?<=[Bb]earer )[^\s\"',;]+"
)
_user = re.compile(r"(https?://)[^\s\"'/?#]*@", re.IGNORECASE)
_query = re.compile(r"(/[^\s\"'?#]*+)([?#][^\s\"']+)?")
"""A path, and its query or fragment. It matches without one too, so that no text is searched again from each slash."""
_control = re.compile(r"[\x00-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069]+")


class Secret:
    """The key. Only `reveal` tells it, and it cannot be pickled."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value

    def reveal(self) -> str:
        return self._value

    def __repr__(self) -> str:
        return HIDDEN

    def __reduce__(self) -> Any:
        raise TypeError("a key is not to be pickled; hand it over by the environment")


class _HiddenText(str):
    """A text that shows in no repr, and of which no part does: a traceback may shorten a value before it prints it."""

    __slots__ = ()

    def __repr__(self) -> str:
        return repr(redacted(str(self)))

    def __getitem__(self, key: SupportsIndex | slice) -> str:
        return type(self)(super().__getitem__(key)) if isinstance(key, slice) else super().__getitem__(key)


class UploadToken(_HiddenText):
    """Stands for an uploaded file in any media param, for 24 hours and for this key alone."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<upload token {HIDDEN}>"


class SignedUrl(_HiddenText):
    """Where an output is, for 7 days. Whoever has it needs no key."""

    __slots__ = ()

    def __repr__(self) -> str:
        return f"<signed URL {HIDDEN}>"


def redacted(text: str, key: str | None = None) -> str:
    """A text without keys, upload tokens, and what stands before @ or after ? in a URL. Bounded, fit for a terminal."""
    if key:
        text = text.replace(key, HIDDEN)
    if len(text) > _READ:
        text = text[:_READ].rpartition(" ")[0] + " ..."  # half a secret is not known for one
    text = _user.sub(rf"\1{HIDDEN}@", _secret.sub(HIDDEN, text))
    text = _query.sub(lambda match: f"{match[1]}?{HIDDEN}" if match[2] else match[0], text)
    text = _control.sub(" ", text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}..."
