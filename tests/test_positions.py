"""Where things stand: every path that a parser sees has a line, and the key, or the item, stands in that line.

A document that is drawn is written by this test, which counts the lines as it goes.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections.abc import Iterator
from pathlib import Path as File
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prospec import positions
from prospec.loader import spec_root
from prospec.positions import Path
from ruamel.yaml import YAML

FILES = sorted(path for path in spec_root().rglob("*") if path.suffix in (".toml", ".yaml", ".json"))


def paths(value: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Every path of a parsed document, and what is there."""
    items = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    for key, item in items:
        yield (*path, key), item
        yield from paths(item, (*path, key))


def parsed(text: str, suffix: str) -> Any:
    match suffix:
        case ".toml":
            return tomllib.loads(text)
        case ".json":
            return json.loads(text)
        case _:
            return YAML(typ="safe", pure=True).load(text)


def stands_in(key: str | int, item: Any, line: str) -> bool:
    """Whether a line holds a key as its format writes it, or an item of a list: a scalar, or where one begins."""
    if isinstance(key, str):
        forms = {key, json.dumps(key), json.dumps(key, ensure_ascii=False), f"'{key}'"}
        return any(re.search(rf"(?<![\w-]){re.escape(form)}(?![\w-])", line) for form in forms)
    match item:
        case dict() | list():
            return any(mark in line for mark in "[{-") or any(str(name) in line for name in item)
        case str():
            first = re.split(r"[\W_]", item.strip())[0]
            return first in line or json.dumps(item) in line
        case _:
            return re.search(r"[\w.+-]", line) is not None


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(spec_root()).as_posix())
def test_every_member_of_the_real_files_has_its_line(file: File) -> None:
    text = file.read_text("utf-8")
    lines = text.split("\n")
    found = positions.lines_of(text, file.suffix)
    there = dict(paths(parsed(text, file.suffix)))
    assert found.keys() == there.keys()
    for path, item in there.items():
        assert stands_in(path[-1], item, lines[found[path] - 1]), (path, found[path])


NASTY = {
    "strings over lines": """\
a = \"\"\"
[b]
c = 1 # no comment
\\"\"\" d = 2 \"\"\"
e = '''
f = "x"
''' # ]
g = 1
""",
    "quotes before the last three": """\
a = \"\"\"x\"\"\"\"\"
b = \'\'\'y\'\'\'\'\'
c = \"\"\"\"\"\"
d = \'\'\'\'\'\'
e = ""
f = \'\'
g = 1
""",
    "escapes": r"""
a = "\\"
b = "\" ] # } c = 1"
c = 'd\'
e = '''\'''
f = "\u005D"
""",
    "dotted keys": "a.b.c = 1\na.b.d = 2\n a . 'e f' . \"g.h\" = 3\n[i.j]\nk.l = { m.n = 1, m.o = 2 }\n",
    "quoted keys": '"" = 1\n\'a "b"\' = 2\n"c\\u0064" = 3\n"#e" = 4\n"[f]" = 5\n["g.h".\'i\']\n"j=k" = 6\n3.4 = 5\n',
    "arrays of tables": """\
[[a]]
b = 1
[[a.c]]
d = 1
[[a.c]]
d = 2
[a.c.e]
f = 1
[[a]]
[[a.c]]
d = 3
[[ "g" . h ]]
[[g.h]]
i = 1
[j]
[j.k.l]
m = 1
""",
    "a table before the one around it": "[a.b]\nc = 1\n[a]\nd = 1\n",
    "arrays over lines": """\
a = [ # [
  1, # ]
  [2, 3], [
    4,
  ],
  "]", '[', \"\"\"
  ] \"\"\", # ,
  { b = 1, c = [ 5,
    6 ] }, { d = [] },
]
e = [[], [[]], {}]
""",
    "values that are no text": """\
a = 1979-05-27 07:32:00
b = 1979-05-27T07:32:00.999-07:00
c = 07:32:00
d = [1979-05-27, 07:32:00]
e = { f = +1_000, g = -inf, h = 0xDEAD_beef , i = 1e-5}
j=true
k	=	false	# l
""",
    "no end of line at the end": "a = 1\nb = [\n1,\n2]",
    "blank lines and comments": "\n\n# a = 1\n\t# [b]\n  c = 1\n\n\n  [ d ] # e\n\n  f = 1\n",
    "nothing": "",
    "a comment alone": "# a = 1",
    "comments behind values": "a = 1 # , b = 2\nc = [ 1 # ], 2\n, 3 # }\n] # ]\nd = true # \"\ne = 'x' # '\n",
}


@pytest.mark.parametrize("ends", ["\n", "\r\n"], ids=["LF", "CRLF"])
@pytest.mark.parametrize("name", NASTY)
def test_every_member_of_nasty_toml_has_its_line(name: str, ends: str) -> None:
    text = NASTY[name].replace("\n", ends)
    there = dict(paths(tomllib.loads(text)))
    found = positions.lines_of(text, ".toml")
    assert found.keys() == there.keys()
    lines = text.split("\n")
    for path, item in there.items():
        written = lines[found[path] - 1].replace('"c\\u0064"', "cd")
        assert stands_in(path[-1], item, written), (path, found[path])


def test_the_lines_of_nasty_toml_are_those_that_a_person_counts() -> None:
    found = positions.lines_of(NASTY["arrays of tables"], ".toml")
    assert found[("a",)] == found[("a", 0)] == 1
    assert (found[("a", 0, "c")], found[("a", 0, "c", 1)], found[("a", 0, "c", 1, "d")]) == (3, 5, 6)
    assert (found[("a", 0, "c", 1, "e")], found[("a", 1)], found[("a", 1, "c", 0, "d")]) == (7, 9, 11)
    assert (found[("g", "h", 0)], found[("g", "h", 1, "i")], found[("j", "k", "l", "m")]) == (12, 14, 17)
    found = positions.lines_of(NASTY["arrays over lines"], ".toml")
    assert [found[("a", index)] for index in range(8)] == [2, 3, 3, 6, 6, 6, 8, 9]
    assert (found[("a", 2, 0)], found[("a", 6, "c", 1)], found[("a", 7, "d")], found[("e", 1, 0)]) == (4, 9, 9, 11)


def test_a_line_is_that_of_the_nearest_thing_around_what_has_none() -> None:
    lines = positions.lines_of("a = 1\n[b]\nc = { d = 1 }\n", ".toml")
    assert positions.line_of(("b", "c", "missing", 0), lines) == 3
    assert positions.line_of(("b", "missing"), lines) == 2
    assert positions.line_of(("missing",), lines) == positions.line_of((), lines) == 1


def test_the_second_of_two_equal_keys_has_its_line() -> None:
    text = '{"a": {"b": 1},\n "c": [{"b": 2,\n "b\\\\": 3}, {"b": 4,\n "\\u0062": 5}],\n "a": 6}'
    assert positions.second_line_of("b", text) == 4
    assert positions.second_line_of("a", text) == 5
    assert positions.second_line_of("c", text) == 0


@pytest.mark.parametrize(
    "text", ["", "[", "]", "}{", "{,", ",,", "[1]]]", '{"a"', '{"a": ', '"', '{"a": [}', "nul", "[1 2 {3"]
)
def test_what_is_no_json_has_lines_or_none_and_no_exception(text: str) -> None:
    positions.lines_of(text, ".json")


# Documents that are drawn, and the lines in which they were written.

KEYS = st.text(st.sampled_from("ab-_.'\"# =[]{}\\é\u2028\t"), max_size=4)
SCALARS = st.one_of(
    st.booleans(),
    st.integers(-9, 9),
    st.floats(allow_nan=False, allow_infinity=False),
    st.text(st.sampled_from("ab'\"\\#[]{},=\n\té😀"), max_size=6),
)
VALUES = st.recursive(SCALARS, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(KEYS, inner, max_size=3))
DOCUMENTS = st.dictionaries(KEYS, VALUES | st.lists(st.dictionaries(KEYS, VALUES, min_size=1, max_size=3), max_size=3))
NO_NAME = re.compile(r"\W", re.ASCII)


class Writer:
    """A document as TOML in one of its many spellings, and the line of each path, counted as it is written."""

    def __init__(self, draw: Any) -> None:
        self.draw = draw
        self.text = ""
        self.lines: dict[Path, int] = {}

    def any_of(self, *options: str) -> str:
        return str(self.draw(st.sampled_from(options)))

    def put(self, text: str) -> None:
        self.text += text

    def mark(self, path: Path) -> None:
        self.lines.setdefault(path, self.text.count("\n") + 1)

    def table(self, value: dict[str, Any], path: Path, header: str) -> None:
        """Scalars and inline values first; then, as tables of their own, what may be one."""
        later = []
        for key, item in value.items():
            is_tables = isinstance(item, list) and item and all(isinstance(each, dict) for each in item)
            if (isinstance(item, dict) or is_tables) and self.draw(st.booleans()):
                later.append((key, item))
                continue
            self.put(self.any_of("", "", "  ", "\t", "# [x] = {\n", "\n"))
            self.member(key, item, path)
            self.put(self.any_of("\n", "\n", " # '''\n", " # ,]}\n", "\t\n\n"))
        for key, item in later:
            name = self.key(key)
            dotted = f"{header}{self.any_of('.', ' . ')}{name}" if header else name
            for index, each in enumerate(item if isinstance(item, list) else [item]):
                self.put(self.any_of("", " ", "\n"))
                self.mark((*path, key))
                place = (*path, key, index) if isinstance(item, list) else (*path, key)
                self.mark(place)
                self.put(f"[[{dotted}]]\n" if isinstance(item, list) else f"[ {dotted} ]  # ]\n")
                self.table(each, place, dotted)

    def member(self, key: str, item: Any, path: Path) -> None:
        place: Path = (*path, key)
        self.mark(place)
        self.put(self.key(key))
        while isinstance(item, dict) and len(item) == 1 and self.draw(st.booleans()):
            [(key, item)] = item.items()
            place = (*place, key)
            self.put(self.any_of(".", " . "))
            self.mark(place)
            self.put(self.key(key))
        self.put(self.any_of("=", " = ", "\t=  "))
        self.value(item, place)

    def key(self, key: str) -> str:
        forms = [json.dumps(key, ensure_ascii=self.draw(st.booleans()))]
        forms += [key] if key and not NO_NAME.search(key.replace("-", "")) else []
        forms += [f"'{key}'"] if "'" not in key else []
        return self.any_of(*forms)

    def value(self, item: Any, path: Path) -> None:
        match item:
            case dict():
                self.put("{")
                for index, (key, each) in enumerate(item.items()):
                    self.put(", " if index else " ")
                    self.member(key, each, path)
                self.put(" }")
            case list():
                self.put(self.any_of("[", "[ ", "[\n", "[ # ]\n  "))
                for index, each in enumerate(item):
                    self.put(self.any_of(",", ", ", ",\n  ", ' # "\n,\n\n') if index else "")
                    self.mark((*path, index))
                    self.value(each, (*path, index))
                self.put(self.any_of("]", "\n]", ",]" if item else "]", " # [\n ]"))
            case str():
                self.put(self.string(item))
            case float():
                self.put(repr(item))
            case _:
                self.put(json.dumps(item))

    def string(self, text: str) -> str:
        escaped = "".join(f"\\U{ord(each):08x}" if each in "\t\x7f\u2028" else each for each in text)
        escaped = json.dumps(escaped, ensure_ascii=False).replace("\\\\U", "\\U")
        basic = json.dumps(text, ensure_ascii=False) if "\\" in text else escaped
        forms = [
            basic,
            f'"""{basic[1:-1]}"""',
            f'"""\n{basic[1:-1]}"""',
            f'"""\\\n   {basic[1:-1]}"""' if not text[:1].isspace() else basic,
        ]
        if "'" not in text:
            forms += [f"'''\n{text}'''"] + ([f"'{text}'"] if "\n" not in text else [])
        return self.any_of(*forms)


@st.composite
def documents(draw: Any) -> tuple[dict[str, Any], str, dict[Path, int]]:
    value = draw(DOCUMENTS)
    writer = Writer(draw)
    writer.table(value, (), "")
    return value, writer.text, writer.lines


@given(documents(), st.sampled_from(["\n", "\r\n"]))
def test_every_member_of_any_toml_has_the_line_it_was_written_in(
    document: tuple[dict[str, Any], str, dict[Path, int]], ends: str
) -> None:
    value, text, lines = document
    assert tomllib.loads(text) == value  # or the writer of this test is wrong
    assert positions.lines_of(text.replace("\n", ends), ".toml") == lines


@given(DOCUMENTS, st.sampled_from([None, 0, 2]), st.booleans())
def test_every_member_of_any_json_has_the_line_that_yaml_finds(
    value: dict[str, Any], indent: int | None, ascii_: bool
) -> None:
    text = json.dumps(value, indent=indent, ensure_ascii=ascii_)
    found = positions.lines_of(text, ".json")
    assert found.keys() == dict(paths(value)).keys()
    if "\u2028" not in text and "\\ud83d" not in text:  # YAML breaks lines at one, and joins no halves of the other
        assert found == positions.lines_of(text, ".yaml")
