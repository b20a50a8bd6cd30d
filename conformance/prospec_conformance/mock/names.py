"""The ids, tokens and keys that the mock hands out: random, or the same again for a seed. Here lives nothing else."""

from __future__ import annotations

import hashlib
import secrets
from collections import Counter
from collections.abc import Mapping


class Names:
    """Fresh hexadecimal names, each given once."""

    def __init__(self, given: Counter[str], seed: int | None, first: Mapping[str, tuple[str, ...]]) -> None:
        """`given` counts the names by kind; `first` has whole names that are handed out before any other."""
        self._given = given
        # Not the system's randomness for each: to ask for that takes longer than to judge a request.
        self._seeded = _begun(secrets.randbits(256) if seed is None else seed)
        self._first = first

    def fresh(self, kind: str, prefix: str, size: int) -> str:
        """The next name of a kind: the prefix and twice `size` digits, or one of those that come first."""
        number = self._given[kind]
        self._given[kind] += 1
        first = self._first.get(kind, ())
        if number < len(first):
            return first[number]
        return prefix + _drawn(self._seeded, f"{kind} {number}", size)


def seeded(seed: int, what: str, size: int) -> str:
    """Twice `size` digits, at most 64, the same for the same seed and the same word."""
    return _drawn(_begun(seed), what, size)


def _begun(seed: int) -> hashlib._Hash:
    return hashlib.sha256(f"{seed} ".encode())


def _drawn(begun: hashlib._Hash, what: str, size: int) -> str:
    hash = begun.copy()
    hash.update(what.encode())
    return hash.hexdigest()[: 2 * size]
