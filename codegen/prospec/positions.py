"""Where things stand in a file of spec/: the line of every member, by its path.

The parsers that are in use forget where they were, so a file that has something wrong is gone through a second time.
It is read as valid: what is not has been refused before. Here live no parsing for values and no messages.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

Path = tuple[str | int, ...]
"""Keys and indexes, from the top of a document."""


def line_of(path: Path, lines: Mapping[Path, int]) -> int:
    """The line of a member, else of the nearest thing around it that has one; 1 for the document."""
    for length in range(len(path), 0, -1):
        if path[:length] in lines:
            return lines[path[:length]]
    return 1


def lines_of(text: str, suffix: str) -> Mapping[Path, int]:
    """The line of every member of a document, whose format is told by the file's suffix."""
    finders: Mapping[str, Callable[[str], Mapping[Path, int]]] = {".toml": _toml, ".yaml": _yaml, ".json": _json}
    try:
        return finders[suffix](text)
    except RecursionError:
        return {}


_SPACE = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[ \t]*(?:([A-Za-z0-9_-]+)|("(?:[^"\\\n]|\\.)*")|('[^'\n]*'))[ \t]*""")
_STRING = re.compile(
    r'"""(?:[^\\]|\\.)*?"{3,5}(?!")|' + r"'''.*?'{3,5}(?!')|" + r'"(?:[^"\\\n]|\\.)*"|' + r"'[^'\n]*'", re.DOTALL
)
_BARE = re.compile(r"[^,\]}#\n]*")


def _toml(text: str) -> Mapping[Path, int]:
    return _Toml(text).lines


class _Toml:
    """One pass over valid TOML. `tomllib` has no positions, and no maintained reader on PyPI that has them."""

    def __init__(self, text: str) -> None:
        self.text = text.replace("\r\n", "\n")
        self.at = 0
        self.lines: dict[Path, int] = {}
        self._counted = (0, 1)
        self._tables: dict[Path, int] = {}
        """How many tables each array of tables has so far."""
        table: Path = ()
        while self._skip(_SPACE) < len(self.text):
            if self.text.startswith("[[", self.at):
                table = self._header(2)
            elif self.text.startswith("[", self.at):
                table = self._header(1)
            else:
                self._member(table)

    def _skip(self, pattern: re.Pattern[str]) -> int:
        match = pattern.match(self.text, self.at)
        self.at = match.end() if match else self.at
        return self.at

    def _line(self) -> int:
        at, line = self._counted
        line += self.text.count("\n", at, self.at)
        self._counted = (self.at, line)
        return line

    def _record(self, path: Path) -> None:
        self.lines.setdefault(path, self._line())

    def _keys(self) -> list[str]:
        """A dotted key, up to what follows it."""
        import tomllib

        keys = []
        while match := _KEY.match(self.text, self.at):
            bare, basic, literal = match.groups()
            keys.append(bare or (tomllib.loads(f"x={basic}")["x"] if basic else literal[1:-1]))
            self.at = match.end()
            if not self.text.startswith(".", self.at):
                break
            self.at += 1
        return keys

    def _header(self, brackets: int) -> Path:
        self.at += brackets
        path: Path = ()
        *parents, last = self._keys()
        for key in parents:
            path = self._inside((*path, key))
            self._record(path)
        path = (*path, last)
        if brackets == 2:
            self._record(path)
            self._tables[path] = self._tables.get(path, -1) + 1
            path = self._inside(path)
        self._record(path)
        self.at += brackets
        return path

    def _inside(self, path: Path) -> Path:
        """A table, or the last one of an array of tables."""
        return (*path, self._tables[path]) if path in self._tables else path

    def _member(self, table: Path) -> None:
        path = table
        for key in self._keys():
            path = (*path, key)
            self._record(path)
        self.at += 1  # the equals sign
        while self.text[self.at : self.at + 1] in (" ", "\t"):
            self.at += 1
        self._value(path)

    def _value(self, path: Path) -> None:
        match self.text[self.at : self.at + 1]:
            case '"' | "'":
                self._skip(_STRING)
            case "[":
                self._items("]", lambda index: self._item((*path, index)))
            case "{":
                self._items("}", lambda index: self._member(path))
            case _:
                self._skip(_BARE)

    def _item(self, path: Path) -> None:
        self._record(path)
        self._value(path)

    def _items(self, close: str, each: Callable[[int], None]) -> None:
        self.at += 1
        index = 0
        while self._skip(_SPACE) < len(self.text) and not self.text.startswith(close, self.at):
            each(index)
            index += 1
            self._skip(_SPACE)
            if self.text.startswith(",", self.at):
                self.at += 1
        self.at += 1


_JSON = re.compile(r'("(?:[^"\\]|\\.)*")|[\[\]{}:,]|[^\s"\[\]{}:,]+', re.DOTALL)


def _json(text: str) -> Mapping[Path, int]:
    found: dict[Path, int] = {}
    for path, line in _members(text):
        found.setdefault(path, line)
    return found


def second_line_of(key: str, text: str) -> int:
    """Where a key of JSON stands for the second time in one object; 0 if it never does."""
    seen: set[Path] = set()
    for path, line in _members(text):
        if path in seen and path[-1] == key:
            return line
        seen.add(path)
    return 0


def _members(text: str) -> Iterator[tuple[Path, int]]:
    """One pass over JSON, without recursion. YAML's reader would do, but takes a second for a file of vectors."""
    path: list[str | int] = []
    """Where we are; the last part is the key or index at hand, "" before the first key of an object."""
    awaits_key = False
    counted, line = 0, 1
    for match in _JSON.finditer(text):
        word = match.group()
        last = path[-1] if path else ""
        if word in ("]", "}"):
            path[-1:] = []
            awaits_key = False
        elif word == "," and path:
            awaits_key = not isinstance(last, int)
            path[-1] = last + 1 if isinstance(last, int) else ""
        elif word not in (",", ":"):
            if awaits_key and match.group(1):
                path[-1] = json.loads(word, strict=False) if "\\" in word else word[1:-1]
            if awaits_key or isinstance(last, int):
                line += text.count("\n", counted, match.start())
                counted = match.start()
                yield tuple(path), line
            awaits_key = word == "{"
            if word in ("[", "{"):
                path.append(0 if word == "[" else "")


def _yaml(text: str) -> Mapping[Path, int]:
    """YAML 1.2."""
    from ruamel.yaml import YAML
    from ruamel.yaml.error import YAMLError

    found: dict[Path, int] = {}

    def walk(node: Any, path: Path) -> None:
        for index, item in enumerate(node.value if node.id in ("mapping", "sequence") else ()):
            key, value = item if node.id == "mapping" else (item, item)
            place = (*path, key.value if node.id == "mapping" else index)
            found.setdefault(place, key.start_mark.line + 1)
            walk(value, place)

    try:
        root = YAML(typ="safe", pure=True).compose(text)
    except (YAMLError, ValueError):
        return {}
    if root is not None:
        walk(root, ())
    return found
