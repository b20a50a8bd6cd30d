"""A scenario: what a mock is told before it starts, and which requests meet which outcome, written down in TOML.

Here live no HTTP, no behaviour, and no second say: config.py knows what a setting may be, outcomes.py an outcome.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from decimal import Decimal
from pathlib import Path
from typing import TYPE_CHECKING, Any, get_type_hints

from prospec import positions, reading
from prospec.loader import Problem
from prospec.shape import Finding, listed, plain, shown

from .config import MockConfig
from .outcomes import WORDS, UnknownWishError, parsed
from .script import Rule
from .server import ENVIRONMENT

if TYPE_CHECKING:
    from prospec.ir import Spec

ACCOUNTS = ("first", "second")
RULES = "outcomes"


def read(path: Path, spec: Spec | None = None) -> dict[str, Any]:
    """What a file says: values for MockConfig, by the names of its fields.

    With a spec, the file's models, modes, ids and tokens have to be those of the API. Raises ValueError with a line for
    each thing that is wrong: the file, the line, what is there, what was expected.
    """
    file = plain(str(path))
    try:
        # Not `read_text`, which would take every carriage return for an end of line.
        text = path.read_bytes().decode("utf-8")
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror}, expected a scenario in TOML") from None
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        raise ValueError(f"{file}:{line}: byte {error.start} is no UTF-8, expected TOML in UTF-8") from None
    return understood(text, file, spec)


def understood(text: str, file: str, spec: Spec | None = None) -> dict[str, Any]:
    """What a text says; `file` is what messages call it. Raises ValueError, as `read` does."""
    try:
        raw = reading.toml(text)
    except reading.NotReadableError as error:
        raise ValueError(str(Problem(file, error.line, "", str(error)))) from None
    wrong: list[Finding] = []
    types = _types()
    _no_other(raw, (*types, RULES), (), wrong)
    settings = {
        name: value for name in types.keys() & raw.keys() for value in _setting(name, raw[name], types[name], wrong)
    }
    if spec is not None:
        ids = f"{spec.service.generation_prefix}[A-Za-z0-9_-]+"
        _each_once("generation_ids", settings.get("generation_ids", ()), ids, wrong)
        tokens = spec.service.uploads.token_pattern
        _each_once("upload_tokens", settings.get("upload_tokens", ()), tokens, wrong)
    if RULES in raw:
        settings[RULES] = _rules(raw[RULES], spec, wrong)
    if wrong:
        lines = positions.lines_of(text, ".toml")
        found = sorted(Problem(file, positions.line_of(path, lines), _where(path), said) for path, said in wrong)
        raise ValueError("\n".join(map(str, found)))
    return settings


def _types() -> Mapping[str, Any]:
    """The settings that a file may have, and the type of each: those that TOML can say and that are no secret."""
    types = get_type_hints(MockConfig)
    return {name: type for name, type in types.items() if type in _FORMS and name not in ENVIRONMENT}


def _setting(name: str, value: object, type: Any, wrong: list[Finding]) -> Iterable[Any]:
    """The one value of a setting; none where something is wrong with it."""
    expected, form = _FORMS[type]
    try:
        made = form(value)
    except (TypeError, ValueError, ArithmeticError):
        wrong.append(((name,), f"is {_seen(value)}, expected {expected}"))
        return ()
    if name == "rate_limit" and made == 0:
        made = None  # as on the command line, 0 is none
    parts: list[tuple[positions.Path, Any]] = [((name,), made)]
    if isinstance(value, list):
        parts = [((name, index), form([item])) for index, item in enumerate(value)]
    for path, part in parts:
        try:
            # Each by itself, so that each refusal has its line.
            MockConfig(**{name: part})
        except ValueError as error:
            wrong.append((path, str(error)))
    return (made,)


def _each_once(name: str, handed_out: Sequence[str], pattern: str, wrong: list[Finding]) -> None:
    for index, each in enumerate(handed_out):
        if not re.fullmatch(pattern, each):
            wrong.append(((name, index), f"is {shown(each)}, expected text of the form {pattern}"))
        elif each in handed_out[:index]:
            wrong.append(((name, index), f"{shown(each)} stands twice, expected each once"))


def _rules(raw: object, spec: Spec | None, wrong: list[Finding]) -> tuple[Rule, ...]:
    if not isinstance(raw, list) or not all(isinstance(each, dict) for each in raw):
        wrong.append(((RULES,), f"is {_seen(raw)}, expected tables that begin with [[{RULES}]]"))
        return ()
    return tuple(rule for index, each in enumerate(raw) for rule in _rule(each, (RULES, index), spec, wrong))


def _rule(raw: reading.Raw, path: positions.Path, spec: Spec | None, wrong: list[Finding]) -> Iterable[Rule]:
    """One rule; none where something is wrong with it."""
    before = len(wrong)
    _no_other(raw, ("model", "mode", "account", "after", "times", "outcome"), path, wrong)
    about: dict[str, Any] = {name: raw.get(name) for name in ("model", "mode", "account")}
    for name, known in zip(about, (*_models_and_modes(spec, about["model"]), ACCOUNTS), strict=True):
        value = about[name]
        if name in raw and not (isinstance(value, str) and value and (known is None or value in known)):
            wrong.append(((*path, name), f"is {_seen(value)}, expected {_one_of(known, value) if known else 'text'}"))
    counts = {name: raw[name] for name in ("after", "times") if name in raw}
    for name, count in counts.items():
        least = 1 if name == "times" else 0
        if not _is_whole(count) or count < least:
            wrong.append(((*path, name), f"is {_seen(count)}, expected a whole number, at least {least}"))
    text = raw.get("outcome")
    try:
        wish = parsed(text if isinstance(text, str) else "")
    except UnknownWishError:
        said = f"is {_seen(text)}" if "outcome" in raw else "missing"
        wrong.append(((*path, "outcome"), f"{said}, expected one or more of: {'; '.join(WORDS)}"))
        return ()
    return (Rule(wish, **about, **counts),) if len(wrong) == before else ()


def _models_and_modes(spec: Spec | None, model_id: object) -> tuple[Sequence[str] | None, Sequence[str] | None]:
    """The models that there are, and the modes of the one, else of all of them; None where nobody knows."""
    if spec is None:
        return None, None
    chosen = [model for model in spec.models if model.id == model_id] or spec.models
    modes = dict.fromkeys(mode.id for model in chosen for mode in model.modes)
    return [model.id for model in spec.models], list(modes)


def _no_other(raw: reading.Raw, known: Sequence[str], path: positions.Path, wrong: list[Finding]) -> None:
    for key in raw.keys() - set(known):
        said = f"unknown key, expected {_one_of(known, key)}"
        if not path and key in ENVIRONMENT:
            said = f"is a secret, expected in the environment as {ENVIRONMENT[key]}"
        wrong.append(((*path, key), said))


def _one_of(known: Sequence[str], value: object) -> str:
    """What there is, and which of it may have been meant."""
    close = difflib.get_close_matches(value, known, n=1, cutoff=0.5) if isinstance(value, str) else []
    return f"one of {listed(known)}{f'; did you mean {close[0]!r}?' if close else ''}"


def _where(path: positions.Path) -> str:
    """outcomes[1].model"""
    parts = (
        f"[{part}]" if isinstance(part, int) else f".{part if part.isidentifier() else shown(part)}" for part in path
    )
    return "".join(parts).removeprefix(".")


def _seen(value: object) -> str:
    """A value as a message repeats it. What is within a list or a table may be a URL with a secret in it."""
    match value:
        case list():
            return "a list"
        case dict():
            return "a table"
        case _:
            return shown(value)


def _is_whole(value: object) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _whole(value: Any) -> int:
    if not _is_whole(value):
        raise TypeError
    return int(value)


def _number(value: Any) -> float:
    if not isinstance(value, float) and not _is_whole(value):
        raise TypeError
    return float(value)


def _amount(value: Any) -> Decimal:
    """Not with an exponent, which can make it too large for JSON."""
    if isinstance(value, bool) or not re.fullmatch(r"[0-9]{1,15}(\.[0-9]{1,15})?", str(value)):
        raise ValueError
    return Decimal(str(value))


def _texts(value: Any) -> tuple[str, ...]:
    if not isinstance(value, list):
        raise TypeError
    return tuple(map(_text, value))


_FORMS: Mapping[Any, tuple[str, Callable[[Any], Any]]] = {
    str: ("text", _text),
    str | None: ("text", _text),
    int: ("a whole number", _whole),
    int | None: ("a whole number", _whole),
    float: ("a number", _number),
    Decimal: ('an amount in USD, such as "5.00"', _amount),
    tuple[str, ...]: ("a list of texts", _texts),
    frozenset[str]: ("a list of texts", lambda value: frozenset(_texts(value))),
}
"""By the type of a field: what a file may say, and how that becomes the field's value."""
