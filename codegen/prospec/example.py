"""A request to show for each (model, mode): the documentation's own, else the smallest that is valid."""

from __future__ import annotations

from typing import Any, assert_never

from .ir import Choice, Flag, ListOf, Media, Mode, Model, Number, Param, Size, Spec, Text

PROMPT = "A red ball on a white table"
"""Bland, so that no content filter has a reason to refuse it."""
URLS = {
    "image": "https://example.com/image.png",
    "mask": "https://example.com/mask.png",
    "video": "https://example.com/clip.mp4",
    "audio": "https://example.com/voice.mp3",
}


def example_request(spec: Spec, model: Model, mode: Mode) -> dict[str, Any]:
    """A request of that model and mode, with `mode` left out where the API declares none."""
    for example in spec.examples:
        named = (example.request.get("model"), example.request.get("mode", model.modes[0].id))
        if named == (model.id, mode.id):
            return example.request
    return request(model, mode, smallest_params(mode))


def request(model: Model, mode: Mode, params: dict[str, Any]) -> dict[str, Any]:
    """The envelope around params."""
    return {"model": model.id, **({"mode": mode.id} if mode.on_wire else {}), "params": params}


def smallest_params(mode: Mode) -> dict[str, Any]:
    """Every row that is marked required, a default included, and nothing else."""
    return {param.name: plain_value(param) for param in mode.params if param.required}


def plain_value(param: Param) -> Any:
    """A valid value of a row: its default, else the first or lowest."""
    if param.default is not None:
        return param.default
    match param.type:
        case Text():
            return PROMPT
        case Flag():
            return True
        case Choice(of) | Size(presets=of):
            return of[0]
        case Number(low, high, _):
            return low if low is not None else high if high is not None else 1
        case Media(media):
            return URLS[media]
        case ListOf(item, _, _):
            return [URLS[item.media]]
        case _:
            assert_never(param.type)
