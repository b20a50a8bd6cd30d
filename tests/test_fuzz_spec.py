"""Mutations of the real spec/: each is compiled whole or refused with a clean list of problems, and nothing is dropped.

A mutation hangs on its seed and on the files of spec/ alone. `make test` runs a few; PROSPEC_FUZZ=10000 runs that many,
PROSPEC_FUZZ_SEED=17 that one again. What is unchanged is parsed and checked once, and its result remembered.
"""

from __future__ import annotations

import ast
import copy
import importlib.util
import json
import os
import random
import re
import shutil
import signal
import sys
import time
import tomllib
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from functools import cache
from pathlib import Path
from subprocess import CompletedProcess
from types import FrameType
from typing import Any, ClassVar

import pytest
from prospec import loader, openapi, reading
from prospec.emit import Files, emit
from prospec.example import example_request
from prospec.ir import Spec
from prospec.loader import Problem, SpecError, load, spec_root
from prospec.targets import TARGETS
from ruamel.yaml import YAML
from ruamel.yaml.error import YAMLError

COUNT = int(os.environ.get("PROSPEC_FUZZ", "320"))
ONE = os.environ.get("PROSPEC_FUZZ_SEED")
SHARDS = 8
WHOLE = 24
"""Of so many mutations that compile, one is compiled to every target and its binding imported."""
CPU_S = 8.0
"""More than any mutation takes: what takes longer grows faster than its file."""
LONGEST = 1000
"""Characters of a problem."""

GONE = "gone"
FOLDER = "folder"
Content = bytes | str
"""The bytes of a file, or that it is gone, or a folder of its name."""


class HangError(BaseException):
    """No Exception, so that nothing under test can take it for one of its own."""


@dataclass(frozen=True)
class Mutation:
    """One change of the folder."""

    says: str
    files: Mapping[str, Content]


@cache
def pristine() -> Mapping[str, bytes]:
    """The real files that the loader reads, by name."""
    root = spec_root()
    names = sorted(path.relative_to(root).as_posix() for path in root.rglob("*") if path.is_file())
    return {name: (root / name).read_bytes() for name in names if not name.startswith("schema/")}


# Text

HOSTILE = (
    *(
        "\x00",
        "\t",
        "\r",
        "\x0b",
        "\x1b[31m",
        "\x7f",
        "\x85",
        "\u2028",
        "\u202e",
        "\ufeff",
        "\ufffe",
        "😀",
        "\U000e0041",
    ),
    *(
        "'",
        '"',
        "'''",
        '"""',
        "\\",
        "\\u0000",
        "[",
        "]",
        "{",
        "}",
        "[[",
        "]]",
        ",",
        "=",
        ":",
        "#",
        "- ",
        "|",
        ">-",
        "&a ",
        "*a",
    ),
    *(
        "{{ 7 }}",
        "{% for x in y %}",
        "%s",
        "${HOME}",
        "$(id)",
        "`",
        "</script>",
        "*/",
        "GAP-99",
        "AUTH-99",
        "\n",
        "\n\n",
        "  ",
    ),
)
LINES = {
    ".toml": (
        "x = 1",
        "x = 1979-05-27T07:32:00Z",
        "x.y.z = 1",
        '"" = 1',
        "'a\"b' = 1",
        "[x]",
        "[[x]]",
        "[modes]",
        "[[modes]]",
        "[[gaps]]",
        "[[requirements]]",
        "[modes.params.x]",
        "x = {a = 1,}",
        "x = '''",
        'x = """a\\',
        f"x = 1{'0' * 5000}",
        f"x = {'[' * 3000}",
        "x = nan",
        "id = 'x'",
        'default = "x"',
        "seed = { type = 'flag', evidence = 'assumed', source = 'upstream' }",
    ),
    ".yaml": (
        "%YAML 1.1",
        "%TAG ! tag:x,2000:",
        "---",
        "...",
        "x: &a 1",
        "y: *a",
        "<<: {a: 1}",
        "x-a: 2001-01-01",
        "x-b: .inf",
        "x-c: 0o17",
        "x-d: !!binary aGk=",
        "x-e: !!set {a, b}",
        "x-f: !!python/object/apply:os.system [id]",
        "x-g: !x 1",
        "? [a]",
        ": b",
        "  x-h: y",
        "12: y",
        "? |",
        f"x-i: {'[' * 3000}",
        f"x-j: 1{'0' * 5000}",
        "x-k: 0b11111",
        "x-l: 1e999",
        "x-m: 12:30:45",
        '      $ref: "#/components/schemas/Nowhere"',
    ),
    ".json": (
        '"x": NaN,',
        '"x": -Infinity,',
        '"x": 1e999,',
        '"x": "\\ud800",',
        '"x": "\\/\\x",',
        '"id": "x",',
        '"valid": true,',
        f'"x": 1{"0" * 5000},',
        f'"x": {"[" * 3000}',
        "// x",
        "},{",
        '"\\u0000": 1,',
    ),
}
BYTES = (b"\xff", b"\xfe\xff", b"\xc0\x80", b"\xed\xa0\x80", b"\xf4\x90\x80\x80", b"\x80", b"\xe2\x82")
TextEdit = Callable[[random.Random, str, bytes], bytes]


def lines_of(data: bytes) -> list[bytes]:
    return data.splitlines(keepends=True)


def delete_lines(draw: random.Random, name: str, data: bytes) -> bytes:
    lines = lines_of(data)
    at = draw.randrange(len(lines))
    del lines[at : at + draw.choice((1, 1, 1, 2, 5, 40))]
    return b"".join(lines)


def repeat_lines(draw: random.Random, name: str, data: bytes) -> bytes:
    lines = lines_of(data)
    at, count = draw.randrange(len(lines)), draw.choice((1, 1, 2, 6, 12))
    lines[at:at] = lines[at : at + count]
    return b"".join(lines)


def swap_lines(draw: random.Random, name: str, data: bytes) -> bytes:
    lines = lines_of(data)
    one, other = draw.randrange(len(lines)), draw.randrange(len(lines))
    lines[one], lines[other] = lines[other], lines[one]
    return b"".join(lines)


def insert_line(draw: random.Random, name: str, data: bytes) -> bytes:
    lines = lines_of(data)
    known = LINES[Path(name).suffix]
    indent = b" " * draw.choice((0, 0, 2, 4, 8))
    lines.insert(draw.randrange(len(lines) + 1), indent + draw.choice(known).encode() + b"\n")
    return b"".join(lines)


def insert_line_of_another_file(draw: random.Random, name: str, data: bytes) -> bytes:
    lines, others = lines_of(data), lines_of(pristine()[draw.choice(list(pristine()))])
    at = draw.randrange(len(others))

    place = draw.randrange(len(lines))
    lines[place:place] = others[at : at + draw.choice((1, 2, 8))]
    return b"".join(lines)


def cut(draw: random.Random, name: str, data: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] if draw.random() < 0.5 else data[:at] + data[at + draw.choice((1, 3, 30, 300)) :]


def change_character(draw: random.Random, name: str, data: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + bytes([draw.randrange(32, 127)]) + data[at + 1 :]


def insert_hostile(draw: random.Random, name: str, data: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + draw.choice(HOSTILE).encode("utf-8", "surrogatepass") + data[at:]


def unbalance(draw: random.Random, name: str, data: bytes) -> bytes:
    marks = [match.start() for match in re.finditer(rb"[\[\]{}\"',:=]", data)]
    at = draw.choice(marks)
    return data[:at] + draw.choice((b"", data[at : at + 1] * 2, b'"', b"[", b"}")) + data[at + 1 :]


def swap_words(draw: random.Random, name: str, data: bytes) -> bytes:
    words = [match.span() for match in re.finditer(rb"[A-Za-z0-9_./-]+", data)]
    (start, end), (from_, to) = draw.choice(words), draw.choice(words)
    return data[:start] + data[from_:to] + data[end:]


def change_number(draw: random.Random, name: str, data: bytes) -> bytes:
    numbers = [match.span() for match in re.finditer(rb"(?<![\w.-])-?[0-9]+(\.[0-9]+)?(?![\w.-])", data)]
    if not numbers:
        return change_character(draw, name, data)
    start, end = draw.choice(numbers)
    new = draw.choice((b"0", b"-1", b"1.5", b"1e308", b"1e999", b"true", b"007", b"9" * 400, b"-0.0", b"1_0"))
    return data[:start] + new + data[end:]


def no_utf_8(draw: random.Random, name: str, data: bytes) -> bytes:
    at = draw.randrange(len(data))
    return data[:at] + draw.choice(BYTES) + data[at:]


def line_ends(draw: random.Random, name: str, data: bytes) -> bytes:
    return data.replace(b"\n", draw.choice((b"\r\n", b"\r", b"\n\n", b"\n\r", b"\x0c\n")))


def blanks(draw: random.Random, name: str, data: bytes) -> bytes:
    old, new = draw.choice(((b"  ", b"\t"), (b" ", b"  "), (b" ", b"\xc2\xa0"), (b"\n", b" \n"), (b"    ", b"   ")))
    return data.replace(old, new)


def byte_order_mark(draw: random.Random, name: str, data: bytes) -> bytes:
    return draw.choice((b"\xef\xbb\xbf" + data, data.decode().encode("utf-16"), data.decode().encode("utf-32")))


def empty(draw: random.Random, name: str, data: bytes) -> bytes:
    return draw.choice((b"", b"\n", b"#", b"\x00", b"{}", b"[]", b"null", b'"x"', b"0", b"---\n---\n", b" " * 5000))


def twice_over(draw: random.Random, name: str, data: bytes) -> bytes:
    return data + data


def another_file(draw: random.Random, name: str, data: bytes) -> bytes:
    return pristine()[draw.choice(list(pristine()))]


TEXT_EDITS: tuple[tuple[TextEdit, int], ...] = (
    (delete_lines, 4),
    (repeat_lines, 4),
    (swap_lines, 3),
    (insert_line, 6),
    (insert_line_of_another_file, 3),
    (cut, 3),
    (change_character, 8),
    (insert_hostile, 8),
    (unbalance, 4),
    (swap_words, 8),
    (change_number, 5),
    (no_utf_8, 2),
    (line_ends, 1),
    (blanks, 1),
    (byte_order_mark, 1),
    (empty, 1),
    (twice_over, 1),
    (another_file, 1),
)


# Values


def deep(depth: int) -> Any:
    value: Any = 1
    for level in range(depth):
        value = [value] if level % 2 else {"a": value}
    return value


VALUES: tuple[Any, ...] = (
    *(None, True, False, 0, -1, 1, 2, 0.5, -0.0, 1e308, 5e-324, 10**400, -(10**30), 2**53 + 1),
    *(
        "",
        " ",
        "x",
        "x" * 10_000,
        "\x00",
        "a\nb",
        "\u202ea",
        "\ud800",
        "'''\"\"\"\\",
        "{{ 7 }}",
        "16:9",
        "true",
        "a b",
        "é",
    ),
    *(
        "GAP-01",
        "GAP-99",
        "see GAP-98",
        "AUTH-01",
        "AUTH-99 says",
        "mode:text",
        "page",
        "docs",
        "upstream",
        "https://x.y",
    ),
    *("#/components/schemas/Generation", "#/components/schemas/GenerateRequest/properties/params", "#/x", "x.yaml#/a"),
    *("(", "(?i)x", "a)|(b", "[[a]", "x{99999999999}", "(?P<a>b)", "(a+)+$", "$schema", "$ref", "__class__", "None"),
    *([], {}, [[]], [1, "a", None], {"a": {"b": []}}, {"$ref": "#/x"}, {"type": "x"}, ["x"], [{}], deep(60), deep(150)),
)
LITERALS = {
    ".toml": ("1979-05-27", "1979-05-27T07:32:00Z", "07:32:00", "inf", "-nan", "0x10", "1_000", f"1{'0' * 5000}"),
    ".json": ("NaN", "-Infinity", "1e999", '"\\ud800\\udc00"', '{"a": 1, "a": 2}', f"1{'0' * 5000}", f"{'[' * 3000}1"),
    ".yaml": (
        *(
            "2001-01-01",
            ".inf",
            "0o17",
            "~",
            "{<<: {a: 1}}",
            "&a b",
            "*a",
            "!!binary aGk=",
            "!!set {a}",
            "!x y",
            "12:30:45",
        ),
        *(
            "!!python/name:os.system",
            '"\\ud800"',
            '"\\x00"',
            "{a: 1, a: 2}",
            "{1: 2}",
            "{[a]: b}",
            f"1{'0' * 5000}",
            "- -",
        ),
    ),
}


@dataclass(frozen=True)
class Literal:
    """A value as it is written, where the format has no other way to it."""

    text: str


Slot = tuple[Any, Any]
"""A container, and a key or index of it."""


def slots(value: Any) -> list[Slot]:
    found: list[Slot] = []
    todo = [value]
    while todo:
        container = todo.pop()
        items = list(container.items() if isinstance(container, dict) else enumerate(container))
        for key, item in items:
            found.append((container, key))
            if isinstance(item, dict | list):
                todo.append(item)
    return found


def change_value(draw: random.Random, suffix: str, value: dict[str, Any]) -> str:
    """Change one thing of a document in place; says what."""
    every = slots(value)
    container, key = draw.choice(every)
    old = container[key]
    what = draw.choice(("hostile", "hostile", "hostile", "near", "near", "near", "alike", "alike", "alike"))
    what = draw.choice((what, what, what, "delete", "rename", "add", "add alike", "repeat", "swap", "literal"))
    if what == "hostile":
        new = copy.deepcopy(draw.choice(VALUES))
    elif what == "near":
        new = near(draw, old)
    elif what == "alike":
        alike = [of[name] for of, name in every if name == key or type(of[name]) is type(old)]
        new = copy.deepcopy(draw.choice(alike))
    elif what == "literal":
        new = Literal(draw.choice(LITERALS[suffix]))
    elif what == "delete":
        del container[key]
        return f"delete {key!r}"
    elif what == "swap":
        other, name = draw.choice([(of, name) for of, name in every if type(of[name]) is type(old)])
        if name != key and isinstance(old, dict | list):
            return change_value(draw, suffix, value)  # one might hold the other
        container[key], other[name] = other[name], container[key]
        return f"swap {key!r} and {name!r}"
    elif what == "repeat" and isinstance(container, list):
        container.insert(key, copy.deepcopy(old))
        return f"repeat {key!r}"
    elif isinstance(container, dict):
        alike = [name for of, name in every if isinstance(of, dict)]
        hostile = [each for each in VALUES if isinstance(each, str)]
        name = draw.choice((draw.choice(alike), draw.choice(hostile), f"{key}x", key.upper(), key.replace("_", "-")))
        if what == "rename":
            items = [(name if each == key else each, item) for each, item in container.items()]
            container.clear()
            container.update(items)
            return f"rename {key!r} to {name!r}"
        others = [of[each] for of, each in every if each == name] or [old]
        container[name] = copy.deepcopy(draw.choice(others) if what == "add alike" else draw.choice(VALUES))
        return f"add {name!r}: {container[name]!r}"
    else:
        new = near(draw, old)
    container[key] = new
    return f"{what} {key!r}: {old!r} to {new!r}"


def near(draw: random.Random, old: Any) -> Any:
    """Another value of the same type, or of the one beside it."""
    match old:
        case bool():
            return draw.choice((not old, int(old), str(old).lower()))
        case int() | float():
            return draw.choice((old + 1, old - 1, -old, old * 10, float(old), str(old), old / 3))
        case str():
            at = draw.randrange(len(old) + 1)
            edits = (
                old + "x",
                old[1:],
                old.upper(),
                f" {old}",
                f"{old}\n",
                old[:at] + draw.choice(HOSTILE) + old[at:],
                [old],
            )
            return draw.choice(edits)
        case list():
            return draw.choice(
                (old[1:], old + old[:1], list(reversed(old)), dict(enumerate(map(str, old))), old[:1] * 2)
            )
        case dict():
            return draw.choice((dict(list(old.items())[1:]), dict(reversed(old.items())), [old], list(old.values())))
        case _:
            return "x"


def dumped(value: Any, literals: list[str], *, ascii_: bool, indent: int | None) -> str:
    def placed(each: object) -> str:
        assert isinstance(each, Literal)
        literals.append(each.text)
        return f"@literal{len(literals) - 1}@"

    text = json.dumps(value, default=placed, ensure_ascii=ascii_, indent=indent)
    for index, literal in enumerate(literals):
        text = text.replace(f'"@literal{index}@"', literal)
    return text


def toml(value: Any) -> str:
    """Any value as TOML writes it, inline; null has no form there, and makes the file no TOML."""
    match value:
        case Literal(text):
            return text
        case None:
            return "null"
        case float():
            return repr(value).replace("e+", "e")
        case str():
            return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")
        case list():
            return f"[{', '.join(toml(item) for item in value)}]"
        case dict():
            return "{" + ", ".join(f"{toml(str(key))} = {toml(item)}" for key, item in value.items()) + "}"
        case _:
            return json.dumps(value)


def toml_document(value: dict[str, Any]) -> str:
    lines = []
    for key, item in value.items():
        if isinstance(item, list) and item and len(item) > 1:
            lines += [f"{toml(key)} = [", *(f"  {toml(each)}," for each in item), "]"]
        else:
            lines.append(f"{toml(key)} = {toml(item)}")
    return "\n".join([*lines, ""])


@cache
def yaml_nodes() -> list[tuple[int, int]]:
    """Where each node of openapi.yaml starts and ends."""
    spans: list[tuple[int, int]] = []
    todo = [YAML(typ="safe", pure=True).compose(pristine()["openapi.yaml"].decode())]
    while todo:
        node = todo.pop()
        if isinstance(node, tuple):
            todo += node
            continue
        spans.append((node.start_mark.index, node.end_mark.index))
        todo += node.value if node.id in ("mapping", "sequence") else []
    return spans


def change_document(draw: random.Random, name: str) -> tuple[str, bytes]:
    suffix = Path(name).suffix
    text = pristine()[name].decode()
    if suffix == ".yaml" and draw.random() < 0.5:
        start, end = draw.choice(yaml_nodes())
        new = draw.choice((json.dumps(draw.choice(VALUES)), draw.choice(LITERALS[suffix])))
        return f"{text[start:end][:60]!r} at {start} becomes {new[:60]}", (
            f"{text[:start]}{new}{text[end:]}".encode("utf-8", "surrogatepass")
        )
    value = parsed(name, pristine()[name])
    says = change_value(draw, suffix, value)
    if suffix == ".toml":
        text = toml_document(value)
    else:
        text = dumped(value, [], ascii_=draw.random() < 0.5, indent=draw.choice((1, 2, None)))
    return says, text.encode("utf-8", "surrogatepass")


NAMES = (
    "models/x.toml",
    "models/x.toml.bak",
    "models/X.TOML",
    "models/x.tml",
    "models/.x.toml",
    "models/a\nb.toml",
    "models/é.toml",
)
NAMES += (
    "models/a:1: b.toml",
    "models/\x1b[31m.toml",
    "examples/x.json",
    "examples/x.yaml",
    "examples/a b.json",
    "x.toml",
)
NAMES += (
    "models/sub/x.toml",
    "examples/\udcff.json",
    "vectors/x.json",
    "models/x.toml/y.toml",
    "models/-.toml",
    "models/..toml",
)


def change_folder(draw: random.Random, name: str) -> Mutation:
    data = pristine()[name]
    new = draw.choice(
        (*NAMES, f"{name}x", f"{name}~", name.upper(), f"models/{Path(name).name}", f"examples/{Path(name).name}")
    )
    match draw.choice(("remove", "rename", "copy", "copy", "folder", "empty folder")):
        case "remove":
            return Mutation(f"remove {name}", {name: GONE})
        case "rename":
            return Mutation(f"rename {name} to {new!r}", {name: GONE, new: data})
        case "copy":
            return Mutation(f"copy {name} to {new!r}", {new: data})
        case "folder":
            return Mutation(f"a folder in place of {name}", {name: FOLDER})
        case _:
            folder = Path(name).parts[0]
            gone = {each: GONE for each in pristine() if each.startswith(f"{folder}/") or each == folder}
            return Mutation(f"nothing in {folder}", gone)


def mutation(seed: int) -> Mutation:
    draw = random.Random(seed)
    name = draw.choice(list(pristine()))
    kind = draw.random()
    if kind < 0.03:
        return change_folder(draw, name)
    if kind < 0.5:
        [edit] = draw.choices([edit for edit, _ in TEXT_EDITS], [weight for _, weight in TEXT_EDITS])
        return Mutation(f"{edit.__name__} {name}", {name: edit(draw, name, pristine()[name])})
    says, data = change_document(draw, name)
    if draw.random() < 0.1:
        more = draw.choice(list(pristine()))
        other, its = change_document(draw, more)
        return Mutation(f"{name}: {says[:300]}; {more}: {other[:300]}", {name: data, more: its})
    return Mutation(f"{name}: {says[:300]}", {name: data})


# What a file says, by other means than the loader's


def once(members: list[tuple[str, Any]]) -> dict[str, Any]:
    if len(dict(members)) != len(members):
        raise ValueError("a key twice")
    return dict(members)


def parsed(name: str, data: bytes) -> Any:
    """Raises ValueError for what is no document."""
    text = data.decode("utf-8")
    try:
        match Path(name).suffix:
            case ".toml":
                return tomllib.loads(text)
            case ".json":
                return json.loads(text, object_pairs_hook=once)
            case _:
                return YAML(typ="safe", pure=True).load(text)
    except (YAMLError, RecursionError) as error:
        raise ValueError(type(error).__name__) from error


def said(name: str, value: Any) -> str:
    """What a document says, whatever the order of its keys; a member that says what its absence says is left out."""
    value = copy.deepcopy(value)
    if name.startswith("models/"):
        for mode in value["modes"]:
            for row in mode["params"].values():
                leave_out(row, required=False, inferred=[], gaps={})
            leave_out(mode, on_wire=True)
        price = value.get("price", {})
        for rate in price.get("rates", ()):
            leave_out(rate, evidence=price["evidence"])
            if "usd" in rate:
                rate["low"] = rate["high"] = rate.pop("usd")
            rate["low"], rate["high"] = Decimal(rate["low"]), Decimal(rate["high"])
        leave_out(price, quantity_evidence=price.get("evidence"), inferred=[], gaps=[])
    return json.dumps(value, sort_keys=True, default=repr)


def leave_out(table: dict[str, Any], **defaults: Any) -> None:
    for key, default in defaults.items():
        if key in table and table[key] == default and type(table[key]) is type(default):
            del table[key]


# What becomes of it


REWRITTEN = frozenset({"model", "mode", "params"})
"""Members of the envelope that the compiler writes anew in every branch."""


def printed(spec: Spec) -> str:
    """All of a Spec that outputs hold. The rest is read by the mock and the suite, and by no binding."""
    document = copy.deepcopy(spec.openapi)
    schemas = document["components"]["schemas"]
    envelope = schemas["GenerateRequest"]
    members = {name: None if name in REWRITTEN else item for name, item in envelope["properties"].items()}
    schemas["GenerateRequest"] = (envelope.get("description"), members)
    shown = replace(
        spec,
        service=None,
        sections=(),
        models=tuple(replace(model, vendor="", source="", modes_order=None) for model in spec.models),
        examples=tuple(example.request for example in spec.examples),
        openapi=document,
    )
    return f"{shown} {spec.service.media_pattern}"


@dataclass
class Tally:
    """What became of the mutations."""

    compiled: int = 0
    refused: int = 0
    whole: int = 0
    unchanged: int = 0
    slowest: tuple[float, int] = (0.0, 0)


class Compiler:
    """A folder that is written once, and the real loader and emitters, with what they know of unchanged files kept."""

    PURE: ClassVar = {
        loader: ("findings", "_schema"),
        reading: ("toml", "json", "yaml", "printable", "finite"),
        openapi: ("json_only", "meaning"),
    }
    """Functions of their arguments alone, of which most are the same in every mutation."""

    def __init__(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        self.root = folder / "spec"
        for name, data in pristine().items():
            self._write(name, data)
        self.tally = Tally()
        self._known: dict[object, Any] = {}
        self._is_learning = True
        for module, names in self.PURE.items():
            for name in names:
                monkeypatch.setattr(module, name, self._remembered(name, getattr(module, name)))
        self._is_whole = False
        self.spec = load(self.root)
        self.outputs = self._emit(self.spec)
        self._is_learning = False
        self.repr = repr(self.spec)
        self.printed = printed(self.spec)
        self.says = {name: said(name, parsed(name, data)) for name, data in pristine().items()}
        self.values = {name: parsed(name, data) for name, data in pristine().items()}

    def _remembered(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        """The same function, which does not do again what it did for the real files."""

        def call(value: Any, *rest: Any) -> Any:
            if rest and isinstance(rest[0], tuple) and rest[0]:
                return function(value, *rest)  # a part of a document
            # A document, and a schema, is told by its identity, which the table keeps it alive for.
            others = tuple(sorted(other) if isinstance(other, set) else id(other) for other in rest)
            key = (name, value if isinstance(value, str) else id(value), str(others))
            if key in self._known:
                return self._known[key][0]
            made = function(value, *rest)
            if self._is_learning:
                made = list(made) if isinstance(made, Iterator) else made
                self._known[key] = (made, value, rest)
            return made

        return call

    def _write(self, name: str, content: Content) -> None:
        path = self.root / name
        if content == GONE:
            path.unlink()
        elif content == FOLDER:
            path.unlink(missing_ok=True)
            path.mkdir(parents=True)
        else:
            assert isinstance(content, bytes)
            if path.parent.is_file():
                path.parent.unlink()
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content)

    @contextmanager
    def holding(self, change: Mutation) -> Iterator[None]:
        try:
            for name, content in change.files.items():
                self._write(name, content)
            yield
        finally:
            if any(isinstance(content, str) or name not in pristine() for name, content in change.files.items()):
                shutil.rmtree(self.root)
            for name in change.files if self.root.exists() else pristine():
                self._write(name, pristine()[name])

    def _emit(self, spec: Spec) -> Files:
        targets = (*TARGETS, "pydantic") if self._is_whole else TARGETS
        return {f"{target}/{path}": text for target in targets for path, text in emit(spec, target).items()}

    def judge(self, seed: int, change: Mutation, folder: Path) -> None:
        """Raises AssertionError, or whatever the code under test lets through."""
        with self.holding(change):
            try:
                spec = load(self.root)
            except SpecError as error:
                self.tally.refused += 1
                self._judge_problems(error.problems)
                return
            self._judge_spec(change, spec)
        self.tally.compiled += 1
        self._is_whole = self.tally.compiled % WHOLE == 1 or ONE is not None
        try:
            outputs = self._emit(spec)
        finally:
            is_whole, self._is_whole = self._is_whole, False
        self._judge_outputs(outputs)
        if not is_whole and printed(spec) != self.printed:
            assert outputs != self.outputs, "the Spec differs, and no output does"
        if is_whole:
            self.tally.whole += 1
            judge_binding(outputs, spec, folder)

    def _judge_problems(self, problems: tuple[Problem, ...]) -> None:
        assert problems, "refused without a problem"
        for problem in problems:
            text = str(problem)
            assert re.match(r"[^\n:]+(:\d+)?: .", text), text
            assert text.isprintable(), text
            assert len(text) <= LONGEST, f"{len(text)} characters: {text[:300]}"
            assert "expected" in text, text
            assert not re.search(
                r"Traceback|\bat 0x[0-9a-f]|object at|datetime\.|Decimal\(|<class|sys\.|\.py\b", text
            ), text
            assert problem.line >= 0, text
            path = self.root / problem.file
            if problem.line:
                assert path.is_file(), f"a line of no file: {text}"
                assert problem.line <= len(path.read_bytes().decode("utf-8", "replace").splitlines()) + 1, text
            assert list(problems) == sorted(set(problems)), "not in order, or one twice"

    def _judge_spec(self, change: Mutation, spec: Spec) -> None:
        shown = repr(spec)
        for name, content in change.files.items():
            hidden = any(part.startswith(".") for part in Path(name).parts)
            if content == FOLDER or (name not in pristine() and not hidden):
                assert shown != self.repr, f"{name!r} is there, and the Spec is as if it were not"
            elif content == GONE:
                assert shown != self.repr, f"{name} is gone, and the Spec is as before"
            elif isinstance(content, bytes) and name in pristine():
                value = parsed(name, content)
                if said(name, value) != self.says[name]:
                    assert shown != self.repr, f"{name} says something else, and the Spec is as before"
                elif repr(value) == repr(self.values[name]) and len(change.files) == 1:
                    self.tally.unchanged += 1
                    assert shown == self.repr, f"{name} says the same, and the Spec is another"

    def _judge_outputs(self, outputs: Files) -> None:
        for name, text in outputs.items():
            if text == self.outputs.get(name):
                continue
            text.encode("utf-8")
            if name.endswith(".py"):
                compile(ast.parse(text), name, "exec")
            elif name.endswith(".json"):
                value = json.loads(text, parse_constant=refused)
                if "openapi" in name:
                    dangling = [each for each in references(value) if not is_there(value, each)]
                    assert not dangling, f"{name}: nothing at {dangling}"


def refused(constant: str) -> None:
    raise AssertionError(f"no JSON: {constant}")


def references(value: Any) -> Iterator[str]:
    for container, key in slots(value):
        if key == "$ref" and isinstance(container[key], str):
            yield container[key]


def is_there(value: Any, reference: str) -> bool:
    for part in reference.removeprefix("#/").split("/"):
        key: Any = part.replace("~1", "/").replace("~0", "~")
        key = int(key) if isinstance(value, list) else key
        try:
            value = value[key]
        except (KeyError, IndexError, TypeError):
            return False
    return reference.startswith("#/")


def judge_binding(outputs: Files, spec: Spec, folder: Path) -> None:
    """What was emitted can be imported, and judges."""
    package = folder / "made"
    shutil.rmtree(package, ignore_errors=True)
    for name, text in outputs.items():
        if name.startswith("python/"):
            path = package / name.removeprefix("python/")
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, "utf-8")
    module = "prospo_fuzzed"
    origin = package / "prospo" / "__init__.py"
    place = importlib.util.spec_from_file_location(module, origin, submodule_search_locations=[str(origin.parent)])
    assert place is not None
    assert place.loader is not None
    prospo = importlib.util.module_from_spec(place)
    sys.modules[module] = prospo
    try:
        place.loader.exec_module(prospo)
        importlib.import_module(f"{module}.types")
        importlib.import_module(f"{module}.reference")
        for model in spec.models:
            for mode in model.modes:
                request = {"model": model.id, "mode": mode.id, "params": {}}
                assert isinstance(prospo.is_valid(request), bool)
                assert isinstance(prospo.validate(request), list)
    finally:
        for loaded in [each for each in sys.modules if each.partition(".")[0] == module]:
            del sys.modules[loaded]


@contextmanager
def no_hang() -> Iterator[None]:
    """Raises HangError in what takes too much of the processor."""

    def stop(number: int, frame: FrameType | None) -> None:
        raise HangError

    old = signal.signal(signal.SIGVTALRM, stop)
    signal.setitimer(signal.ITIMER_VIRTUAL, CPU_S)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, old)


@pytest.mark.parametrize("shard", range(1 if ONE else SHARDS))
def test_a_mutated_spec_is_compiled_or_refused_and_nothing_is_dropped(
    shard: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    compiler = Compiler(tmp_path, monkeypatch)
    wrong = []
    seeds = [int(ONE)] if ONE else range(shard, COUNT, SHARDS)
    started = time.process_time()
    for seed in seeds:
        change = mutation(seed)
        before = time.process_time()
        try:
            with warnings.catch_warnings(), no_hang():
                warnings.simplefilter("error")
                compiler.judge(seed, change, tmp_path)
        except (Exception, HangError) as error:
            wrong.append(f"seed {seed}, {change.says}: {type(error).__name__}: {str(error)[:600]}")
        compiler.tally.slowest = max(compiler.tally.slowest, (round(time.process_time() - before, 2), seed))
    captured = capfd.readouterr()
    with capfd.disabled():
        if COUNT > 1000:
            print(f"\nshard {shard}: {compiler.tally}, {time.process_time() - started:.1f} s", file=sys.stderr)
    assert not wrong, f"{len(wrong)} of {len(seeds)} (PROSPEC_FUZZ_SEED=... replays one)\n" + "\n".join(wrong)
    assert (captured.out, captured.err) == ("", "")


BROKEN = {
    "a vector that is null": (
        "vectors/requests.json",
        '"requests": [',
        '"requests": [null,',
        "requests[0]: is null, expected",
    ),
    "a header that is a number": (
        "openapi.yaml",
        'X-RateLimit-Limit:\n              $ref: "#/components/headers/RateLimitLimit"',
        "X-RateLimit-Limit: 17",
        "X-RateLimit-Limit: is 17, expected",
    ),
    "a number of 5,000 digits": (
        "gaps.toml",
        'id = "GAP-01"',
        f"id = 1{'0' * 5000}",
        "a number of thousands of digits",
    ),
    "a hexadecimal number of 5,000 digits": ("service.toml", "= 180", f"= 0x{'f' * 5000}", "sync_timeout_s: is "),
    "a date": ("service.toml", "= 180", "= 1979-05-27", 'sync_timeout_s: is "1979-05-27", expected a whole number'),
    "a whole number that a double rounds": ("service.toml", "= 180", "= 9007199254740993", "sync_timeout_s: is 9007"),
    "a lone carriage return": ("codes.toml", "JSON type", "JSON\rtype", "Illegal character '\\r'"),
    "levels without end": ("openapi.yaml", "servers:", f"x-a: {'[' * 150}{']' * 150}\nservers:", "nested too deep"),
    "a directive of YAML": ("openapi.yaml", "# The HTTP", "%YAML 1.1\n---\n# The HTTP", "a line that starts with %"),
    "a tag of YAML": ("openapi.yaml", "servers:", "x-a: !!null x\nservers:", "the tag "),
    "a number that is none": ("openapi.yaml", "servers:", "x-a: !!int ''\nservers:", "the tag "),
    "a date that is none": ("openapi.yaml", "servers:", "x-a: 2001-13-01\nservers:", "'2001-13-01' is no timestamp"),
    "a merged key of YAML": ("openapi.yaml", "servers:", "x-a: {<<: {b: 1}}\nservers:", "the key <<"),
    "a list for a key": ("openapi.yaml", "servers:", "x-a: {[b]: 1}\nservers:", "a key that is a list"),
    "an unprintable key": ("openapi.yaml", "servers:", '"x-\\u202e": 1\nservers:', "the key 'x-\\u202e'"),
    "a reference into the envelope": (
        "openapi.yaml",
        '"#/components/schemas/Generation"',
        '"#/components/schemas/GenerateRequest/properties/params"',
        "expected none within GenerateRequest",
    ),
    "a reference to itself": (
        "openapi.yaml",
        "  schemas:\n",
        '  schemas:\n    Loop:\n      $ref: "#/components/schemas/Loop"\n',
        "expected a reference that ends at something",
    ),
    "an unknown scheme of security": ("openapi.yaml", "- apiKey: []", "- apikey: []", "security[0].apikey: unknown"),
    "NaN": (
        "vectors/requests.json",
        '{ "prompt": "x" }',
        '{ "prompt": NaN }',
        "params.prompt: is NaN, expected a finite",
    ),
    "an infinite number": (
        "examples/quick-start.json",
        '"8s"',
        "1e999",
        "params.duration: is Infinity, expected a finite",
    ),
    "a key twice": ("examples/quick-start.json", '"mode"', '"mode": "text",\n  "mode"', "the key 'mode' stands twice"),
    "a mode that is null": ("examples/quick-start.json", '"text"', "null", "mode: is null, expected one of"),
    "params that are none": (
        "examples/quick-start.json",
        '"params": {',
        '"params": 1, "x": {',
        "params: is 1, expected an",
    ),
    "a page that is not there": ("models/veo-3-1.toml", 'source = "upstream"', 'source = "page"', "page: missing"),
    "a page that nothing names": (
        "models/veo-3-1.toml",
        "modes_order",
        'page = "https://x"\nmodes_order',
        "page: named by no",
    ),
    "a mode off the wire beside others": (
        "models/veo-3-1.toml",
        "[modes.params]",
        "on_wire = false\n[modes.params]",
        "is false",
    ),
    "a keyword of another type": (
        "models/kling-o3.toml",
        "{ required = ",
        "{ maximum = ",
        "names 'maximum', expected of a choice one of",
    ),
    "a rate that never applies": (
        "models/seedance-2-fast.toml",
        'resolution = "480p" }, usd',
        "}, usd",
        "never applies",
    ),
    "a gap in a text": (
        "models/seedance-2-fast.toml",
        "(GAP-09)",
        "(GAP-00)",
        "names GAP-00, expected an entry of gaps",
    ),
    "a requirement in a text": ("gaps.toml", "(GEN-12)", "(GEN-92)", "names GEN-92, expected an entry of requirements"),
    "a repetition without end": ("service.toml", "{32}'", "{99999999999}'", "expected a regular expression: "),
    "a set within a set": (
        "service.toml",
        "'pl-upload-[0",
        "'pl-upload-[[0",
        "expected a regular expression: Possible nested",
    ),
    "a group that JavaScript lacks": (
        "service.toml",
        "'pl-upload-",
        "'(?P<a>pl)-upload-",
        "expected a regular expression: ",
    ),
}
"""What mutations found, each broken once more: the file, what becomes of what in it, and what is told."""


@pytest.mark.parametrize("name", BROKEN)
def test_what_mutations_found_is_refused_with_its_line(name: str, tmp_path: Path) -> None:
    file, old, new, told = BROKEN[name]
    root = Path(shutil.copytree(spec_root(), tmp_path / "spec"))
    text = (root / file).read_text("utf-8")
    assert old in text, "the spec has changed"
    (root / file).write_bytes(text.replace(old, new, 1).encode("utf-8"))
    with pytest.raises(SpecError) as caught:
        load(root)
    problems = [str(problem) for problem in caught.value.problems]
    assert any(told in problem for problem in problems), problems
    assert all(problem.file == file for problem in caught.value.problems), problems
    assert name == "levels without end" or all(problem.line for problem in caught.value.problems), problems


@pytest.mark.parametrize(
    "place",
    ["models/x.toml.bak", "models/X.TOML", "models/a\nb.toml", "examples/x.yaml", "vectors/x.json", "model.toml"],
)
def test_a_file_that_nobody_reads_is_a_problem(place: str, tmp_path: Path) -> None:
    root = Path(shutil.copytree(spec_root(), tmp_path / "spec"))
    (root / place).write_text("", "utf-8")
    with pytest.raises(SpecError) as caught:
        load(root)
    [problem] = caught.value.problems
    folder, _, file = place.rpartition("/")
    assert str(problem).startswith(f"{folder or '.'}: holds {file!r}, expected nothing but ")


def test_two_examples_of_one_mode_are_a_problem(tmp_path: Path) -> None:
    """The second would never be shown."""
    root = Path(shutil.copytree(spec_root(), tmp_path / "spec"))
    shutil.copy(root / "examples" / "quick-start.json", root / "examples" / "second.json")
    with pytest.raises(SpecError) as caught:
        load(root)
    assert [problem.file for problem in caught.value.problems] == ["examples/second.json"]


def test_an_example_that_names_no_mode_is_shown_with_the_first_one(tmp_path: Path) -> None:
    root = Path(shutil.copytree(spec_root(), tmp_path / "spec"))
    path = root / "examples" / "quick-start.json"
    request = json.loads(path.read_bytes())
    del request["mode"]
    path.write_text(json.dumps(request), "utf-8")
    spec = load(root)
    model = spec.model("veo-3-1-lite")
    assert model is not None
    assert example_request(spec, model, model.modes[0]) == request


def problems_of(root: Path) -> tuple[Problem, ...]:
    try:
        load(root)
    except SpecError as error:
        return error.problems
    return ()


@pytest.mark.parametrize("seed", [1, 2, 3, 4])
def test_the_command_refuses_a_mutated_spec_without_a_traceback(
    seed: int, tmp_path: Path, prospec_process: Callable[..., CompletedProcess[str]]
) -> None:
    """In a process of its own, with nothing of it replaced; of the seeds after a seed, the first that is refused."""
    root = Path(shutil.copytree(spec_root(), tmp_path / "spec"))
    for change in map(mutation, range(1000 * seed, 1000 * seed + 50)):
        if len(change.files) > 1 or change.says.startswith(("remove", "rename", "copy", "a folder", "nothing")):
            continue
        [(name, content)] = change.files.items()
        assert isinstance(content, bytes)
        (root / name).write_bytes(content)
        problems = problems_of(root)
        if problems:
            ran = prospec_process("codegen", "--check", "--spec", str(root))
            assert (ran.returncode, ran.stdout) == (2, ""), change.says
            assert ran.stderr.startswith(f"{problems[0]}\n"), change.says
            assert "Traceback" not in ran.stderr
            return
        (root / name).write_bytes(pristine()[name])
    pytest.fail("none of fifty mutations is refused")
