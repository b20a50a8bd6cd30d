"""How values are named in messages, and how what was likely meant is told. Here lives no rule.

No value that may be a secret (a URL, a token, a prompt) is repeated: only names, numbers and listed values are.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Container, Iterable, Mapping, Sequence
from typing import Any

from . import suggestion
from .catalog import ALIASES, ENVELOPE, MODELS
from .model import Mode, Model, Param
from .suggestion import remembered
from .values import is_number

LONGEST = 40
"""Characters of a string that a message repeats."""
FEW_MODELS = 3
"""Other models that take a param, beyond which naming them helps nobody."""
_repeatable = re.compile(rf"(?!prsp-|pl-upload-)[A-Za-z0-9_.:+-]{{1,{LONGEST}}}").fullmatch
"""A word such as a name or a listed value: no URL, no token, no key, no sentence, nothing a terminal would act on."""
_KINDS: Mapping[type, str] = {type(None): "null", str: "a string", dict: "an object", list: "a list"}
"""Those that need no closer look."""
_pixels = re.compile(r"\s*([0-9]{1,5})\s*[x×*,]\s*([0-9]{1,5})\s*").fullmatch
_host = re.compile(r"(?:[A-Za-z0-9-]++\.)++[A-Za-z]{2,}/").match


def kind(value: object) -> str:
    """The JSON type of a value, with the value itself where it is a number or a flag."""
    if usual := _KINDS.get(type(value)):
        return usual
    match value:
        case bool():
            return "true" if value else "false"
        case int() | float():
            return f"the number {number(value)}" if is_number(value) else "a number that is not finite"
        case str():
            return "a string"
        case Mapping():
            return "an object"
        case list() | tuple():
            return "a list"
        case _:
            return f"a {type(value).__name__}"


def number(value: float) -> str:
    """A number as short as it can be told."""
    return str(value) if isinstance(value, int) and abs(value) < 10**15 else f"{value:.12g}"


def name(key: object) -> str:
    """A key or id, quoted; what may be a secret is not repeated."""
    text = str(key)
    return repr(text) if _repeatable(text) else "of the name given"


def pointer(of: str, key: object) -> str:
    """A JSON Pointer to a member of what `of` points at."""
    text = str(key)
    return f"{of}/{text.replace('~', '~0').replace('/', '~1')}"


def bounds(param: Param) -> str:
    unit = f" {param.unit}" if param.unit else ""
    if param.min is None or param.max is None:
        return f"{param.max if param.min is None else param.min}{unit}"
    return f"the range {param.min} to {param.max}{unit}"


def did_you_mean(meant: str | None) -> str | None:
    return f"did you mean {meant}?" if meant else None


def model_id(value: object) -> str | None:
    """A hint for an id that the catalog does not have, or for a list around one."""
    text = _only(value)
    return did_you_mean(suggestion.model(text)) if text else None


def mode_id(value: object, model: Model) -> str | None:
    """A hint for a mode that the model does not have, or for a list around one."""
    text = _only(value)
    if not model.modes[0].on_wire:
        return "leave mode out"
    return _mode_of(text, model.id) if text else None


@remembered
def _mode_of(text: str, model_id: str) -> str | None:
    model = MODELS[model_id]
    meant = suggestion.name(text, tuple(mode.id for mode in model.modes), "modes")
    if meant:
        return did_you_mean(meant)
    sibling = f"{model.id}-{suggestion.fold(text)}"
    if sibling in MODELS:
        return f"did you mean the model {sibling}?"
    if param := suggestion.value_of(text, model.modes[0]):
        return f"{text} is a value of the param {param}"
    alike = [each.id for each in MODELS.values() if each.family == model.family and each.mode(text)]
    return f"{', '.join(alike)} {'has' if len(alike) == 1 else 'have'} it" if alike else None


def _only(value: object) -> str:
    """A string, or the one string of a list."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    return value if isinstance(value, str) else ""


def member(key: Any, request: Mapping[Any, Any], params: Iterable[str]) -> str | None:
    """A hint for a member that no request has."""
    if key in params:
        return "params: inside it, not beside model"
    free = tuple(each for each in ENVELOPE if each not in request)
    return did_you_mean(suggestion.name(str(key), free, "members"))


def is_envelope(key: object) -> bool:
    """Whether a member means params: another object around them, or one more."""
    return suggestion.name(str(key), ("params",), "members") == "params"


def unknown_param(
    text: str, is_object: bool, taken: Container[str], model: Model, mode: Mode
) -> tuple[str | None, str | None]:
    """A hint for a param that the mode does not have, and the param of the mode that it means, if any.

    `taken` are the names of params that are in use, those of other modes too; `is_object` says what the param holds.
    """
    free = tuple(param.name for param in mode.params if param.name not in taken)
    meant = suggestion.name(text, free, "params")
    modes = suggestion.elsewhere(text, model, mode)
    if modes:
        takes = f"mode {modes[0]} takes it" if len(modes) == 1 else f"modes {', '.join(modes)} take it"
        if meant and {suggestion.fold(text), suggestion.fold(meant)} == {_singular(text), _singular(text) + "s"}:
            return f"did you mean {meant}? ({takes.replace(' it', f' {text}')})", meant
        return takes, None
    if is_object and is_envelope(text):
        return "its members stand in params itself", None
    if text in ENVELOPE:
        return f"{text} stands beside params, not inside", None
    if meant:
        return did_you_mean(meant), meant
    for other in model.modes:
        names = tuple(row.name for row in other.params)
        likely = None if other is mode else suggestion.name(text, names, "params")
        if likely and likely not in taken:
            return f"did you mean {likely}? (mode {other.id} takes it)", None
    models = suggestion.other_models(text, model)
    if 0 < len(models) <= FEW_MODELS:
        return f"{', '.join(models)} {'takes' if len(models) == 1 else 'take'} it", None
    return None, None


def _singular(text: str) -> str:
    return suggestion.fold(text).removesuffix("s")


def not_listed(value: str, allowed: Sequence[str]) -> tuple[str, str | None]:
    """Message and hint for a string that a list does not hold. It is repeated where it resembles a listed one."""
    hint = did_you_mean(suggestion.value(value, allowed))
    got = f"is {value!r}, none of" if hint and _repeatable(value) else "is none of"
    return f"{got} {', '.join(allowed)}", hint


def as_flag(value: object) -> str | None:
    """true for "true", "yes" and 1; false for their opposites."""
    if isinstance(value, str):
        value = value.strip().lower()
        value = ALIASES["values"].get(value, (value,))[-1]
    if value in ("true", "1", 1):
        return did_you_mean("true")
    return did_you_mean("false") if value in ("false", "0", 0) else None


def as_number(value: object, param: Param) -> str | None:
    """5 for "5", for "5s" and for [5], where the param takes it."""
    if isinstance(value, list | tuple) and len(value) == 1:
        value = value[0]
    if isinstance(value, str):
        found = suggestion.measure(value)
        meant = None if found is None or found[1] not in ("", param.unit or "") else found[0]
    else:
        meant = float(value) if isinstance(value, int | float) and is_number(value) else None
    if meant is None or (param.min is not None and meant < param.min) or (param.max is not None and meant > param.max):
        return None
    return did_you_mean(number(int(meant) if meant == int(meant) else meant))


def as_text(value: object, allowed: tuple[str, ...] | None) -> str | None:
    """The string "8s" for 8 and "true" for true, where the list has them; the one item of a list."""
    if not isinstance(value, str) and (text := _only(value)):
        return did_you_mean(text) if allowed and text in allowed else "the item itself, without the list"
    if allowed is None or not isinstance(value, bool | int | float):
        return None
    if value in (0, 1) and "true" in allowed:
        value = bool(value)
    plain = kind(value).removeprefix("the number ")
    # YAML 1.1 makes 969 of 16:9.
    if isinstance(value, int) and f"{value // 60}:{value % 60}" in allowed:
        plain = f"{value // 60}:{value % 60}"
    meant = plain if plain in allowed else suggestion.value(plain, allowed)
    return did_you_mean(f'"{meant}"' if meant else None)


def beyond(limit: float | None) -> str | None:
    """The end of a range that a number lies beyond."""
    return None if limit is None else did_you_mean(number(limit))


def as_media(value: str) -> str | None:
    """What keeps a string from being a URL or a token, without repeating it."""
    if value != value.strip():
        return "without the white space around it"
    if value[:7].lower() == "http://":
        return "https, not http"
    if value[:10].lower() == "pl-upload-":
        return "an upload token is pl-upload- and 32 lower-case hexadecimal digits"
    if value.startswith("//"):
        return "https: in front of it"
    if value[:8].lower() == "https://":
        return "a host after https://, and no white space"
    if _host(value):
        return "https:// in front of it"
    return "a public https URL; or upload the file, and give its token"


def as_one_media(value: object) -> str | None:
    """A URL in a list or an object, where one URL is taken."""
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], str):
        return "the URL itself, without the list"
    if isinstance(value, Mapping) and any(isinstance(item, str) for item in value.values()):
        return "the URL itself, without the object"
    return None


def as_list(value: object) -> str | None:
    """One URL where a list of them is taken."""
    if isinstance(value, Mapping):
        return "a list of URLs, without the object"
    return "a list of one: brackets around it" if isinstance(value, str) else None


def as_size(value: object, presets: Sequence[str]) -> str | None:
    """Width and height out of "1024x1536", of [1024, 1536] and of a preset's other names."""
    if isinstance(value, str):
        match = _pixels(value)
        if match:
            return _sides(int(match[1]), int(match[2]))
        return did_you_mean(suggestion.value(value, presets))
    if isinstance(value, list | tuple) and len(value) == 2:
        width, height = value
        if is_number(width) and is_number(height):
            return _sides(width, height)
    if isinstance(value, int | float) and not isinstance(value, bool) and is_number(value):
        return _sides(value, value)
    return None


def _sides(width: float, height: float) -> str | None:
    return did_you_mean(json.dumps({"width": width, "height": height}))


def multiple(value: float, step: int) -> str | None:
    """The nearest multiple; of two the larger."""
    return did_you_mean(str(math.floor(value / step + 0.5) * step))


def as_object(value: object) -> str | None:
    """A hint for params that are no object."""
    if isinstance(value, str) and value.lstrip()[:1] == "{":
        return "the object itself, not its text"
    if isinstance(value, list | tuple) and len(value) == 1 and isinstance(value[0], Mapping):
        return "the object itself, without the list"
    return None


def side(key: object, size: Mapping[object, object]) -> str | None:
    """A hint for a member that no size has."""
    free = tuple(each for each in ("width", "height") if each not in size)
    return did_you_mean(suggestion.name(str(key), free, "sides"))


def as_side(value: object, step: int) -> str | None:
    """1024 for "1024" and for 1024.5."""
    if isinstance(value, str):
        found = suggestion.measure(value)
        value = None if found is None or found[1] not in ("", "p") else found[0]
    if isinstance(value, int | float) and not isinstance(value, bool) and is_number(value):
        return multiple(value, step)
    return None
