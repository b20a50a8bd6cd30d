"""From the text of a file of spec/ to its value: TOML, JSON, and a strict YAML 1.2. Nothing is dropped without a word.

Here live no I/O, no shape and no meaning.
"""

from __future__ import annotations

import json as standard
import math
import re
import sys
import tomllib
from collections.abc import Iterator
from typing import Any

from . import positions
from .shape import LARGEST, Finding, plain, shown

Raw = dict[str, Any]


class NotReadableError(ValueError):
    """A file that cannot be parsed. `line` is 0 where the parser does not say one."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


def toml(text: str) -> Raw:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).rpartition(" (at ")
        line = place.removeprefix("line ").partition(",")[0]
        last = text.count("\n") + 1
        raise NotReadableError(f"{plain(said)}, expected TOML", int(line) if line.isdigit() else last) from None
    except ValueError:
        raise NotReadableError(TOO_LONG, _long_number(text)) from None
    except RecursionError:
        raise NotReadableError("nested too deep, expected TOML") from None


TOO_LONG = "a number of thousands of digits, expected a shorter one"


def _long_number(text: str) -> int:
    """The line of a number that Python refuses to read for its length; 0 if there is none."""
    found = re.search(r"[0-9][0-9_]{4000}", text)
    return text.count("\n", 0, found.start()) + 1 if found else 0


def json(text: str) -> Raw:
    try:
        value = standard.loads(text, object_pairs_hook=_each_once)
    except _KeyTwiceError as error:
        line = positions.second_line_of(error.key, text)
        raise NotReadableError(f"the key {shown(error.key)} stands twice, expected JSON", line) from None
    except standard.JSONDecodeError as error:
        said = "a byte order mark" if text.startswith("\ufeff") else error.msg
        raise NotReadableError(f"{said}, expected JSON", error.lineno) from None
    except ValueError:
        raise NotReadableError(TOO_LONG, _long_number(text)) from None
    except RecursionError:
        raise NotReadableError("nested too deep, expected JSON") from None
    if not isinstance(value, dict):
        raise NotReadableError(f"is {shown(value)}, expected a JSON object", 1)
    return value


class _KeyTwiceError(Exception):
    def __init__(self, key: str) -> None:
        super().__init__(key)
        self.key = key


def _each_once(members: list[tuple[str, Any]]) -> Raw:
    """The last of two equal keys would win, and the first be dropped without a word."""
    made: Raw = {}
    for key, value in members:
        if key in made:
            raise _KeyTwiceError(key)
        made[key] = value
    return made


def yaml(text: str) -> Raw:
    """YAML 1.2, so that 16:9 stays text; the last of two equal keys is refused, not taken."""
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import Composer
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.events import AliasEvent
    from ruamel.yaml.reader import ReaderError

    class Plain(Composer):
        """Without aliases, a few of which make a document that never ends, without tags and without merged keys."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            event = self.parser.peek_event()
            line = event.start_mark.line + 1
            if isinstance(event, AliasEvent):
                raise NotReadableError("an alias, expected the thing itself", line)
            if getattr(event, "tag", None) is not None:
                raise NotReadableError(f"the tag {shown(str(event.tag))}, expected a value without one", line)
            node = super().compose_node(parent, index)
            kind = str(node.tag).rpartition(":")[2]
            if kind == "merge":
                raise NotReadableError("the key <<, expected what it would merge", line)
            if node.id == "mapping" and any(key.id != "scalar" for key, _ in node.value):
                raise NotReadableError("a key that is a list or a mapping, expected text", line)
            if node.id == "scalar" and kind != "str":
                try:
                    reader.constructor.yaml_constructors[node.tag](reader.constructor, node)
                except (ValueError, LookupError, ArithmeticError):
                    raise NotReadableError(f"{shown(node.value)} is no {kind}, expected YAML 1.2", line) from None
            return node

    directive = re.search("^%", text, re.MULTILINE)
    if directive:
        line = text.count("\n", 0, directive.start()) + 1
        raise NotReadableError("a line that starts with %, expected YAML 1.2 without directives", line)
    reader = YAML(typ="safe", pure=True)
    reader.Composer = Plain
    try:
        value = reader.load(text)
    except MarkedYAMLError as error:
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise NotReadableError(f"{plain(str(error.problem))}, expected YAML 1.2", line) from None
    except ReaderError as error:
        line = text.count("\n", 0, error.position) + 1
        raise NotReadableError(f"{plain(str(error))}, expected YAML 1.2", line) from None
    except YAMLError as error:
        raise NotReadableError(f"{plain(str(error))}, expected YAML 1.2") from None
    except RecursionError:
        raise NotReadableError("nested too deep, expected YAML 1.2") from None
    if not isinstance(value, dict):
        raise NotReadableError(f"is {shown(value)}, expected a mapping", 1)
    return value


def parse(text: str, suffix: str) -> Raw:
    """The value of a file whose name ends in that suffix. Raises NotReadableError."""
    return {".toml": toml, ".json": json, ".yaml": yaml}[suffix](text)


def printable(value: object, path: positions.Path) -> Iterator[Finding]:
    """Text that no editor shows as it is (controls, bidi marks) has no place in the spec nor in its output."""
    match value:
        case dict():
            for key, item in value.items():
                if not key.isprintable():
                    yield (*path, key), f"the key {shown(key)}, expected text without unprintable characters"
                yield from printable(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from printable(item, (*path, index))
        case str() if not value.isprintable():
            yield path, f"is {shown(value)}, expected text without unprintable characters"
        case float() if not math.isfinite(value):
            yield path, f"is {value}, expected a finite number"
        case int() if abs(value) > LARGEST:
            yield path, f"is {shown(value)}, expected a whole number from -{LARGEST} to {LARGEST}"
        case _:
            pass


def finite(value: object, path: positions.Path) -> Iterator[Finding]:
    """A number that is none in JSON, or that a reader of JSON may take for infinity."""
    match value:
        case dict():
            for key, item in value.items():
                yield from finite(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from finite(item, (*path, index))
        case int() | float() if not abs(value) <= sys.float_info.max:
            yield path, f"is {shown(value)}, expected a finite number"
        case _:
            pass


def depth(value: object, most: int) -> int:
    """The levels of a document, as far as they are not more than `most` and one."""
    levels, level = 0, [value]
    while level and levels <= most:
        level = [
            item
            for each in level
            if isinstance(each, dict | list)
            for item in (each.values() if isinstance(each, dict) else each)
        ]
        levels += 1
    return levels
