"""Knows most of the requests of which there is nothing to say, not even a warning, from their bytes alone.

So the many that are as they should be cost little more than to be parsed. Whatever it does not know, the rules have to
judge: here lives no rule. Without the extra `fast` it knows none.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import cache
from typing import Any

from prospo import jsontext
from prospo.catalog import MODELS
from prospo.model import Mode, Model
from prospo.rules import HEAD, PATIENCE, Usual

HEADS = 4096
"""Ways to begin that are remembered."""


class Quick:
    """Learns from requests that the rules have found nothing wrong with, and from then on takes others like them."""

    def __init__(self) -> None:
        self._usual: dict[bytes, Usual] = {}
        self._waited = 0
        self._parse: Callable[[bytes], Any] = jsontext.parse

    def takes(self, data: bytes) -> bool:
        """Whether it knows that there is nothing to say of a request; False where it does not know."""
        try:
            return self._usual.get(data[:HEAD], _nothing)(data) is not False and len(data) <= jsontext.MAX_BYTES
        except Exception:  # however a decoder refuses it
            return False

    def parse(self, data: bytes) -> Any:
        """As `prospo.jsontext.parse`, the same way or a faster one."""
        self._waited += 1
        if self._waited == PATIENCE:
            self._load()
        return self._parse(data)

    def learn(self, data: bytes, model: str, mode: str) -> None:
        """That the rules have nothing to say of this request, of that model and mode."""
        if self._waited < PATIENCE or self._parse is jsontext.parse:
            return
        head, decoder = data[:HEAD], _decoder(model, mode)
        if self._usual.get(head, decoder) is not decoder:
            self._usual[head] = _by_name  # other models or modes begin in the same way
        elif len(self._usual) < HEADS:
            self._usual[head] = decoder

    def _load(self) -> None:
        """What takes as long to load as thousands of requests take to be judged."""
        try:
            from prospo import decoders
        except ModuleNotFoundError:
            return
        self._parse = decoders.parse


def _nothing(_: bytes) -> bool:
    return False


def _by_name(data: bytes) -> object:
    from prospo import decoders

    of = decoders.named(data)
    return _decoder(of.model, of.mode)(data)


@cache
def _decoder(model_id: str, mode_id: str | None) -> Usual:
    from prospo import decoders

    model = _all_documented(model_id)
    mode = model.mode(mode_id) if model else None
    # To name a mode that the provider does not declare is worth a warning, whatever its params are.
    return decoders.decoder(model, mode) if model and mode and mode.on_wire else _nothing


def _all_documented(id: str) -> Model | None:
    """The model as if nothing in it were less than documented, so that what breaks a rule is no longer taken."""
    model = MODELS.get(id)
    return model and replace(model, modes=tuple(map(_documented, model.modes)))


def _documented(mode: Mode) -> Mode:
    params = (replace(param, evidence="documented", inferred=()) for param in mode.params)
    return replace(mode, evidence="documented", params=tuple(params))
