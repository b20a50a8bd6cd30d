"""`prospec validate` on large, compressed, broken and tabular files: chunks, order, memory, interruption, summaries."""

from __future__ import annotations

import gzip
import io
import json
import os
import pty
import re
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import suppress
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pyarrow as pa
import pytest
from drawn import draw
from hypothesis import example, given
from hypothesis import strategies as st
from machine import lacking
from prospec import chunks, inputs, tally, terminal
from prospec.chunks import CutShortError, Document, Lines, LongLine, Unreadable
from prospec.columns import ColumnsError, find, requests
from prospec.parallel import in_order
from prospec.quick import Quick
from prospo import validate_json
from prospo.catalog import MODELS
from prospo.problem import NotJSONError
from prospo.rules import HEAD, PATIENCE
from pyarrow import ipc, parquet

if sys.version_info >= (3, 14):
    from compression import zstd
else:
    from backports import zstd

Prospec = Callable[..., CompletedProcess[str]]

GOOD = {"model": "seedance-2-fast", "params": {"prompt": "x"}}
BAD = {"model": "seedance-2-fast", "mode": "text", "params": {"prompt": "x", "duration": 99}}
DOUBTFUL = {"model": "seedance-2-fast", "mode": "image", "params": {"prompt": "x", "image_url": "x"}}
"""Breaks an inferred row alone: a warning."""
UNKNOWN = {"model": "nope", "params": {}}
MIXED = [GOOD, BAD, "", "{broken", DOUBTFUL, UNKNOWN, "\t", GOOD, BAD]


def ndjson(*requests: object) -> bytes:
    """A string stands as it is."""
    return "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in requests).encode()


def verdicts(ran: CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


# Chunks

MOST = 20
BOM = b"\xef\xbb\xbf"
Told = list[tuple[int, bytes | int]]
"""Number, and the line or, of one that is too long, its size."""


def each_line(data: bytes, first: int) -> Told:
    """What is expected: every line that is not blank, one by one."""
    ended = ((number, line.removesuffix(b"\r")) for number, line in enumerate(data.split(b"\n"), first))
    return [(number, line if len(line) <= MOST else len(line)) for number, line in ended if line.strip()]


def told(found: Iterable[chunks.Chunk]) -> Told:
    """The same of chunks."""
    lines: Told = []
    for chunk in found:
        match chunk:
            case LongLine(_, line, size):
                lines.append((line, size))
            case Lines(_, first, data):
                lines += each_line(data, first)
            case _:
                pytest.fail(f"{chunk} is no line")
    return lines


PIECES = [b"a", b"{}", b"\n", b"\r\n", b"\r", b" ", b"\x00", b"\xff", BOM, b" " * 25, b"b" * 19, b"c" * 60]


@given(
    st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join),
    st.lists(st.integers(0, 400), max_size=12),
    st.integers(1, 200),
)
@example(b"", [], 1)
@example(BOM + b"a", [1, 2], 1)
@example(b"c" * 21 + b"\r\n" + b"c" * 21 + b"\r", [5, 22, 23], 1)
@example(b"\n" * 20_000, [7], 1 << 19)
def test_however_a_stream_is_cut_its_lines_are_the_same(data: bytes, cuts: list[int], chunk_bytes: int) -> None:
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = [data[start:end] for start, end in zip([0, *ends], ends, strict=False)]
    found = chunks.lines("a", blocks, max_bytes=MOST, chunk_bytes=chunk_bytes)
    assert told(found) == each_line(data.removeprefix(BOM), 1)


@given(st.lists(st.sampled_from(PIECES), max_size=40).map(b"".join), st.integers(0, 400), st.integers(1, 200))
def test_of_a_stream_that_breaks_off_all_whole_lines_are_told_and_the_place(data: bytes, end: int, size: int) -> None:
    read = data[:end]

    def broken() -> Iterator[bytes]:
        yield read
        raise CutShortError("why")

    *found, last = chunks.lines("a", broken(), max_bytes=MOST, chunk_bytes=size)
    assert told(found) == each_line(read.removeprefix(BOM).rpartition(b"\n")[0], 1)
    assert last == Unreadable("a", "why", read.count(b"\n") + 1)


def test_no_chunk_has_more_lines_than_there_is_room_for_their_verdicts() -> None:
    data = b"1\n" * 100_000
    found = [each for each in chunks.lines("a", [data], max_bytes=MOST) if isinstance(each, Lines)]
    assert max(each.data.count(b"\n") for each in found) <= chunks.CHUNK_LINES
    assert b"".join(each.data for each in found) == data


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=20,
)
LAYOUTS = st.sampled_from([(None, (",", ":")), (0, (",", ":")), (2, (", ", ": ")), ("\t", ("\n,\n", "\n:\n"))])


def contents(data: bytes, cuts: list[int]) -> list[chunks.Chunk]:
    ends = [*sorted(min(cut, len(data)) for cut in cuts), len(data)]
    blocks = iter([data[start:end] for start, end in zip([0, *ends], ends, strict=False) if start < end])
    return list(inputs._lines_or_document("-", blocks, 1 << 20))


@given(VALUES, LAYOUTS, st.lists(st.integers(0, 400), max_size=6), st.sampled_from(["", "\n", "\r\n\n"]))
def test_a_json_document_is_one_however_it_is_laid_out(
    value: object, layout: tuple[Any, tuple[str, str]], cuts: list[int], end: str
) -> None:
    indent, separators = layout
    data = f"{json.dumps(value, indent=indent, separators=separators)}{end}".encode()
    assert contents(data, cuts) == [Document("-", data)]


@given(st.lists(VALUES | st.just(object()), min_size=2, max_size=6), st.lists(st.integers(0, 400), max_size=6))
def test_a_value_a_line_is_no_document(values: list[object], cuts: list[int]) -> None:
    """Some of the lines are no JSON."""
    lines = ["{broken" if type(value) is object else json.dumps(value) for value in values]
    data = "".join(f"{line}\n" for line in lines).encode()
    found = contents(data, cuts)
    assert all(isinstance(each, Lines) for each in found)
    assert b"".join(each.data for each in found if isinstance(each, Lines)) == data


# Lines as they come from other systems

ODD: dict[str, tuple[bytes, list[tuple[int, bool]]]] = {
    "CR LF": (ndjson(GOOD, BAD).replace(b"\n", b"\r\n"), [(1, True), (2, False)]),
    "no end of the last line": (ndjson(GOOD, BAD)[:-1], [(1, True), (2, False)]),
    "blank lines": (ndjson("", GOOD, " \t", "\r", BAD, ""), [(2, True), (5, False)]),
    "a byte order mark": (BOM + ndjson(GOOD, BAD), [(1, True), (2, False)]),
    "a byte order mark on a later line": (ndjson(GOOD) + BOM + ndjson(GOOD), [(1, True), (2, False)]),
    "NUL bytes": (ndjson(GOOD) + b"\x00\x00\n" + ndjson(GOOD), [(1, True), (2, False), (3, True)]),
    "no UTF-8": (ndjson(GOOD) + b'{"\xff": 1}\n' + ndjson(GOOD), [(1, True), (2, False), (3, True)]),
    "UTF-16": (json.dumps(GOOD).encode("utf-16"), [(1, False)]),
    "a line of just 1 MiB": (json.dumps(GOOD).encode().ljust(1 << 20) + b"\r\n", [(1, True)]),
    "a line of one byte more": (json.dumps(GOOD).encode().ljust((1 << 20) + 1) + b"\n", [(1, False)]),
    "a line of 5 MiB": (ndjson(GOOD, "x" * (5 << 20), GOOD), [(1, True), (2, False), (3, True)]),
    "a line of 5 MiB at the end": (ndjson(GOOD, "x" * (5 << 20))[:-1], [(1, True), (2, False)]),
    "a blank line of 5 MiB": (ndjson(GOOD, " " * (5 << 20), BAD), [(1, True), (3, False)]),
    "CR alone ends no line": (ndjson(GOOD)[:-1] + b"\r" + ndjson(GOOD), [(1, False)]),
}


@pytest.mark.parametrize("name", ODD)
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_every_line_is_judged_whatever_the_others_are(prospec: Prospec, tmp_path: Path, name: str, jobs: str) -> None:
    data, expected = ODD[name]
    (tmp_path / "a.ndjson").write_bytes(data)
    ran = prospec("validate", str(tmp_path / "a.ndjson"), "--format", "json", "--jobs", jobs)
    assert [(each["line"], each["valid"]) for each in verdicts(ran)] == expected


def test_a_line_too_long_says_how_long_it_is_and_so_does_one_that_was_held(prospec: Prospec, tmp_path: Path) -> None:
    for size in ((1 << 20) + 1, 9 << 20):
        (tmp_path / "a.ndjson").write_bytes(b"x" * size + b"\r\n")
        (verdict,) = verdicts(prospec("validate", str(tmp_path / "a.ndjson"), "--format", "json"))
        (problem,) = verdict["problems"]
        assert (problem["code"], problem["message"]) == (
            "json",
            f"not a JSON value: {size:,} bytes; at most 1,048,576 are read",
        )


def test_drawn_and_hostile_bodies_get_the_same_verdict_alone_and_in_a_file(prospec: Prospec, tmp_path: Path) -> None:
    bodies = [draw(number).data for number in range(3000)]
    bodies = [body for body in bodies if b"\n" not in body and body.strip() and not body.startswith(BOM)]
    (tmp_path / "a.ndjson").write_bytes(b"".join(body + b"\n" for body in bodies))
    found = verdicts(prospec("validate", str(tmp_path / "a.ndjson"), "--format", "json", "--jobs", "2"))
    told = [[(problem["path"], problem["code"]) for problem in each["problems"]] for each in found]
    assert told == [[(problem.path, problem.code) for problem in validate_json(body)] for body in bodies]
    text = prospec("validate", str(tmp_path / "a.ndjson"))
    assert len(text.stdout.splitlines()) == sum(map(len, told))


def test_what_is_known_at_a_glance_has_no_problem_of_any_kind() -> None:
    """And requests are known that have none, though these are spelt in every way there is: else it had no use."""
    quick, clean, known = Quick(), 0, 0
    for number in range(30_000):
        data = draw(number).data
        takes = quick.takes(data)
        problems = validate_json(data)
        assert not (takes and problems), (data, problems)
        with suppress(NotJSONError):
            request = quick.parse(data)
            if not problems:
                model = MODELS[request["model"]]
                quick.learn(data, model.id, request.get("mode", model.modes[0].id))
        if number >= 15_000:
            clean += not problems
            known += takes
    assert known > clean / 10


def test_requests_of_several_modes_that_begin_alike_are_known_at_a_glance() -> None:
    quick, prompt = Quick(), "x" * HEAD
    alike = [
        json.dumps({"params": {"prompt": prompt}, "model": model, "mode": "text"}).encode()
        for model in ("seedance-2-fast", "kling-o3")
    ]
    for _ in range(PATIENCE):
        quick.parse(alike[0])
    for data in alike * 2:
        quick.learn(data, json.loads(data)["model"], "text")
    assert all(map(quick.takes, alike))
    assert not quick.takes(alike[0].replace(b"kling-o3", b"kling-o4").replace(b"seedance", b"seedunce"))


def test_the_few_bad_lines_of_many_are_pointed_at(prospec: Prospec, tmp_path: Path) -> None:
    lines = [GOOD] * 50_000
    at = [1, 2, 7_777, 8_192, 8_193, 25_000, 33_333, 49_998, 49_999, 50_000]
    for number in at:
        lines[number - 1] = BAD
    (tmp_path / "a.ndjson").write_bytes(ndjson(*lines))
    for arguments in ((), ("--jobs", "2"), ("--jobs", "1")):
        ran = prospec("validate", str(tmp_path / "a.ndjson"), *arguments)
        assert [int(line.split(":")[1]) for line in ran.stdout.splitlines()] == at
        assert ran.stderr.endswith("50,000 requests, 10 invalid\n")


def test_many_files_keep_their_order(prospec: Prospec, tmp_path: Path) -> None:
    names = []
    for number in range(40):
        names.append(str(tmp_path / f"{number}.ndjson"))
        Path(names[-1]).write_bytes(ndjson(*[BAD] * (number % 7 * 300)))
    one, two = (prospec("validate", *names, "--format", "json", "--jobs", jobs) for jobs in "12")
    assert one.stdout == two.stdout
    assert [name for name in names if f'"{name}"' in one.stdout] == list(
        dict.fromkeys(each["file"] for each in verdicts(one))
    )


@pytest.mark.parametrize("jobs", [1, 2, 3, None])
def test_results_have_the_order_of_the_items(jobs: int | None) -> None:
    """The first of any three takes longest."""
    assert list(in_order(_late, range(60), jobs)) == list(range(60))
    assert list(in_order(_late, [], jobs)) == []


def _late(number: int) -> int:
    time.sleep(0 if number % 3 else 0.02)
    return number


def test_items_and_results_that_fill_a_pipe_do_not_wait_for_one_another() -> None:
    program = (
        "from prospec.parallel import in_order; print(sum(map(len, in_order(bytes.upper, [b'x' * 3_000_000] * 9, 2))))"
    )
    ran = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=60, check=False)
    assert (ran.stdout, ran.stderr) == ("27000000\n", "")


# Compression

Packed = Callable[[bytes], bytes]
PACKED: dict[str, Packed] = {
    ".gz": gzip.compress,
    ".zst": zstd.compress,
    ".gz of two members": lambda data: gzip.compress(data[:100]) + gzip.compress(data[100:]),
    ".zst of two frames": lambda data: zstd.compress(data[:100]) + zstd.compress(data[100:]),
}
DATA = ndjson(*MIXED * 300)


def test_a_compressed_file_is_what_is_in_it(prospec: Prospec, tmp_path: Path) -> None:
    plain = tmp_path / "a.ndjson"
    plain.write_bytes(DATA)
    expected = prospec("validate", str(plain), "--format", "json")
    for kind, pack in PACKED.items():
        for name in (f"b.ndjson{kind.partition(' ')[0]}", "c.ndjson", "d"):
            file = tmp_path / name
            file.write_bytes(pack(DATA))
            ran = prospec("validate", str(file), "--format", "json", "--jobs", "2")
            assert ran.stdout == expected.stdout.replace(str(plain), str(file)), (kind, name)
            assert (ran.returncode, ran.stderr) == (expected.returncode, expected.stderr)


@pytest.mark.parametrize("kind", PACKED)
def test_compressed_stdin_too(prospec: Prospec, prospec_process: Prospec, kind: str) -> None:
    expected = prospec("validate", "--format", "json", stdin=DATA)
    for run in (prospec, prospec_process):
        assert run("validate", "--format", "json", stdin=PACKED[kind](DATA)).stdout == expected.stdout


@pytest.mark.parametrize("kind", [".gz", ".zst"])
def test_a_compressed_document_is_one(prospec: Prospec, tmp_path: Path, kind: str) -> None:
    file = tmp_path / f"a.json{kind}"
    file.write_bytes(PACKED[kind](json.dumps([GOOD, BAD], indent=2).encode()))
    ran = prospec("validate", str(file), "--format", "json")
    assert [(each["line"], each["valid"]) for each in verdicts(ran)] == [(1, True), (2, False)]


@pytest.mark.parametrize("kind", [".gz", ".zst"])
@pytest.mark.parametrize("share", [0, 0.001, 0.3, 0.6, 0.999])
def test_what_comes_before_the_end_of_a_truncated_file_is_kept(
    prospec: Prospec, tmp_path: Path, kind: str, share: float
) -> None:
    """Numbered lines, so that the data do not shrink to nothing."""
    data = ndjson(*({"model": f"nope-{number * 7919 % 100_003}", "params": {}} for number in range(9000)))
    whole = PACKED[kind](data)
    file, after = tmp_path / f"a.ndjson{kind}", tmp_path / "after.ndjson"
    file.write_bytes(whole[: int(len(whole) * share)])
    after.write_bytes(ndjson(BAD))
    ran = prospec("validate", str(file), str(after), "--format", "json")
    assert ran.returncode == 2
    *found, last = verdicts(ran)
    assert [each["line"] for each in found] == list(range(1, len(found) + 1))
    assert [each["model"] for each in found] == [json.loads(line)["model"] for line in data.splitlines()[: len(found)]]
    assert last["file"] == str(after)
    reason = re.escape(f"{file}: cannot be read") + (f" from line {len(found) + 1:,} on" if found else "")
    assert re.match(f"{reason}: the (gzip|zstd) data end too early\n", ran.stderr), ran.stderr
    assert bool(found) or share < 0.5


@pytest.mark.parametrize("kind", [".gz", ".zst"])
@given(st.data())
def test_no_damage_to_a_compressed_file_is_a_failure_of_ours(kind: str, data: st.DataObject) -> None:
    whole = bytearray(PACKED[kind](DATA))
    for at in data.draw(st.lists(st.integers(4, len(whole) - 1), min_size=1, max_size=5)):
        whole[at] ^= data.draw(st.integers(1, 255))
    blocks = inputs._decompressed({".gz": "gzip", ".zst": "zstd"}[kind], io.BufferedReader(io.BytesIO(whole)))
    for chunk in chunks.lines("a", blocks, max_bytes=1 << 20):
        assert isinstance(chunk, Lines | LongLine | Unreadable)


NOT_PACKED = {
    "an empty .gz": ("a.ndjson.gz", b""),
    "a plain .gz": ("a.ndjson.gz", ndjson(GOOD)),
    "a plain .zst": ("a.ndjson.zst", ndjson(GOOD)),
    "an empty .parquet": ("a.parquet", b""),
    "a plain .parquet": ("a.parquet", ndjson(GOOD)),
    "half a .parquet": ("a.parquet", b"PAR1" + ndjson(GOOD)),
    "an empty .arrow": ("a.arrow", b""),
    "half an .arrow": ("a.arrow", b"ARROW1\0\0" + ndjson(GOOD)),
    "half a stream of Arrow's": ("a", b"\xff\xff\xff\xff\x10\0\0\0abc"),
    "an old .feather": ("a.feather", b"FEA1" + bytes(100)),
}


@pytest.mark.parametrize("name", NOT_PACKED)
def test_what_is_not_what_its_name_says_is_unreadable_input(prospec: Prospec, tmp_path: Path, name: str) -> None:
    file, data = NOT_PACKED[name]
    (tmp_path / file).write_bytes(data)
    ran = prospec("validate", str(tmp_path / file))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert f"{tmp_path / file}: cannot be read" in ran.stderr
    assert "internal error" not in ran.stderr


def test_a_document_that_is_too_large_to_be_held_is_told_of(
    prospec: Prospec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(inputs, "LARGEST_DOCUMENT", 1 << 20)
    (tmp_path / "a.json").write_text(json.dumps([GOOD] * 30_000))
    ran = prospec("validate", str(tmp_path / "a.json"))
    assert ran.returncode == 2
    assert "a document of more than 1 MiB" in ran.stderr


@pytest.mark.parametrize(
    ("module", "name", "data"),
    [("backports.zstd", "a.ndjson.zst", zstd.compress(DATA)), ("pyarrow", "a.parquet", b"PAR1PAR1")],
    ids=["zstd", "pyarrow"],
)
def test_an_extra_that_is_missing_is_named_and_the_other_files_are_judged(
    tmp_path: Path, module: str, name: str, data: bytes
) -> None:
    if module == "backports.zstd" and sys.version_info >= (3, 14):
        lacking("Python has zstd itself from 3.14 on")
    (tmp_path / name).write_bytes(data)
    (tmp_path / "b.ndjson").write_bytes(ndjson(BAD))
    program = f"import sys; sys.modules[{module!r}] = None; from prospec.cli import main; sys.exit(main())"
    command = [sys.executable, "-c", program, "validate", str(tmp_path / name), str(tmp_path / "b.ndjson")]
    ran = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
    assert ran.returncode == 2
    assert f"{name}: cannot be read: " in ran.stderr
    assert f"needs {module}: pip install 'prospec[files]'" in ran.stderr
    assert "b.ndjson:1: error" in ran.stdout


# Tables


def batch(**columns: Any) -> pa.RecordBatch:
    return pa.record_batch(columns)


TEXTS = [json.dumps(GOOD), None, "{", ""]
TEXT_TYPES = [pa.string(), pa.large_string(), pa.string_view(), pa.binary(), pa.large_binary(), pa.binary_view()]
SAID = [None if text is None else text.encode() for text in TEXTS]


@pytest.mark.parametrize("type", TEXT_TYPES, ids=str)
@pytest.mark.parametrize("column", ["request", "body", "json"])
def test_a_column_of_text_or_bytes_has_a_request_a_row(type: pa.DataType, column: str) -> None:
    rows = batch(id=pa.array(range(4)), **{column: pa.array(SAID, pa.binary()).cast(type)})
    assert list(requests(rows, find(rows.schema))) == SAID
    encoded = batch(other=pa.array(TEXTS).dictionary_encode())
    assert list(requests(encoded, find(encoded.schema, "other"))) == SAID


SIZE = pa.struct({"width": pa.int32(), "height": pa.int32()})
PARAMS = pa.struct({"prompt": pa.string(), "n": pa.float32(), "urls": pa.list_(pa.string()), "image_size": SIZE})
TABLES: dict[str, tuple[pa.RecordBatch, list[object]]] = {
    "members": (
        batch(
            id=pa.array([1, 2]),
            model=pa.array(["a", None]),
            mode=pa.array([None, "m"]),
            params=pa.array([{"prompt": "x", "urls": ["u", None]}, None], PARAMS),
            **{"async": pa.array([True, None]), "webhook_url": pa.array([None, "https://a"])},
        ),
        [
            {"model": "a", "params": {"prompt": "x", "urls": ["u", None]}, "async": True},
            {"mode": "m", "webhook_url": "https://a"},
        ],
    ),
    "an object within the params": (
        batch(model=["a"] * 2, params=pa.array([{"image_size": {"width": 16}}, {"n": 0.5}], PARAMS)),
        [{"model": "a", "params": {"image_size": {"width": 16}}}, {"model": "a", "params": {"n": 0.5}}],
    ),
    "params as text": (
        batch(model=["a"] * 3, params=['{"a": 5}', "{", None]),
        [{"model": "a", "params": {"a": 5}}, {"model": "a", "params": "{"}, {"model": "a"}],
    ),
    "params as a map": (
        batch(model=["a"], params=pa.array([[("a", 1), ("b", None)]], pa.map_(pa.string(), pa.int64()))),
        [{"model": "a", "params": {"a": 1, "b": None}}],
    ),
    "a struct": (
        batch(request=pa.array([{"model": "a", "params": {"b": True}, "x": None}, None]), model=["not this"] * 2),
        [{"model": "a", "params": {"b": True}}, None],
    ),
    "a word from a dictionary": (
        batch(model=pa.array(["a", "b"]).dictionary_encode(), params=pa.array([{"a": 1}] * 2)),
        [{"model": "a", "params": {"a": 1}}, {"model": "b", "params": {"a": 1}}],
    ),
    "text that is no UTF-8": (
        batch(
            model=pa.Array.from_buffers(pa.string(), 2, pa.array([b"ok", b"\xffx"]).buffers()),
            params=pa.array([{"a": 1}] * 2),
        ),
        [{"model": "ok", "params": {"a": 1}}, b"\xffx"],
    ),
}


@pytest.mark.parametrize("name", TABLES)
def test_a_row_is_a_request_without_the_members_that_are_null(name: str) -> None:
    rows, expected = TABLES[name]
    assert list(requests(rows, find(rows.schema))) == expected


MINUTE = pa.array([0], pa.timestamp("s"))
NO_REQUESTS: dict[str, tuple[pa.RecordBatch, str | None, str]] = {
    "no column that could be": (batch(a=[1], b=["x"]), None, "there are a, b"),
    "a model and no params": (batch(model=["x"]), None, "no column of requests"),
    "another name": (batch(request=["x"]), "b", "no column 'b'; there are request"),
    "a number": (batch(request=[1]), None, "the column request is int64"),
    "a time in the params": (
        batch(model=["a"], params=pa.StructArray.from_arrays([MINUTE], ["when"])),
        None,
        "params.when is timestamp",
    ),
    "bytes in the params": (batch(model=["a"], params=pa.array([{"x": b"x"}])), None, "params.x is binary"),
    "two columns of a name": (
        pa.RecordBatch.from_arrays([pa.array(["x"]), pa.array(["y"])], names=["json", "json"]),
        None,
        "several columns are called json",
    ),
    "two members of a name": (
        batch(request=pa.StructArray.from_arrays([pa.array([1]), pa.array([2])], ["a", "a"])),
        None,
        "two members of one name",
    ),
    "keys that are no strings": (
        batch(model=["a"], params=pa.array([[(1, 1)]], pa.map_(pa.int64(), pa.int64()))),
        None,
        "expected strings",
    ),
}


@pytest.mark.parametrize("name", NO_REQUESTS)
def test_a_table_without_requests_says_what_it_has(name: str) -> None:
    rows, column, said = NO_REQUESTS[name]
    with pytest.raises(ColumnsError, match=re.escape(said)):
        find(rows.schema, column)


def saved_tables(table: pa.Table, folder: Path) -> Iterator[Path]:
    """The table in every form that is read: several row groups, batches and compressions."""
    for compression in ("snappy", "zstd"):
        file = folder / f"{compression}.parquet"
        parquet.write_table(table, file, compression=compression, row_group_size=700)
        yield file
    for name, compression in (("a.arrow", None), ("b.feather", "lz4"), ("no-name", "zstd")):
        file, options = folder / name, ipc.IpcWriteOptions(compression=compression)
        with pa.OSFile(str(file), "wb") as sink, ipc.new_file(sink, table.schema, options=options) as writer:
            writer.write_table(table, max_chunksize=1500)
        yield file
    file = folder / "a.arrows"
    with pa.OSFile(str(file), "wb") as sink, ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    yield file


def test_a_row_of_a_table_is_judged_as_the_line_of_that_number(prospec: Prospec, tmp_path: Path) -> None:
    texts = ["{broken" if number % 7 == 3 else json.dumps([GOOD, BAD, DOUBTFUL][number % 3]) for number in range(4000)]
    lines = tmp_path / "a.ndjson"
    lines.write_bytes(ndjson(*texts))
    expected = prospec("validate", str(lines), "--format", "json")
    for file in saved_tables(pa.table({"id": range(4000), "body": texts}), tmp_path):
        for jobs in "12":
            ran = prospec("validate", str(file), "--format", "json", "--jobs", jobs)
            assert ran.stdout == expected.stdout.replace(str(lines), str(file)), file
            assert (ran.returncode, ran.stderr) == (expected.returncode, expected.stderr)
        if file.suffix == ".arrows":
            assert prospec("validate", "--format", "json", stdin=file.read_bytes()).returncode == 1


def test_structs_are_judged_as_the_same_requests_in_lines(prospec: Prospec, tmp_path: Path) -> None:
    given = [GOOD, BAD, DOUBTFUL, UNKNOWN, {"model": "kling-o3", "mode": "text", "params": {"prompt": "x"}}] * 500
    lines = tmp_path / "a.ndjson"
    lines.write_bytes(ndjson(*given))
    expected = prospec("validate", str(lines), "--format", "json")
    for file in saved_tables(pa.Table.from_struct_array(pa.array(given)), tmp_path):
        ran = prospec("validate", str(file), "--format", "json", "--jobs", "2")
        assert ran.stdout == expected.stdout.replace(str(lines), str(file)), file


def test_column_names_the_one_that_has_the_requests(prospec: Prospec, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"body": [json.dumps(BAD)], "mine": [json.dumps(GOOD)]}), file)
    assert prospec("validate", str(file)).returncode == 1
    assert prospec("validate", str(file), "--column", "mine").returncode == 0
    ran = prospec("validate", str(file), "--column", "yours")
    assert ran.returncode == 2
    assert "no column 'yours'; there are body, mine" in ran.stderr


def test_a_table_is_not_read_from_a_pipe(prospec_process: Prospec, tmp_path: Path) -> None:
    file = tmp_path / "a.parquet"
    parquet.write_table(pa.table({"body": [json.dumps(BAD)]}), file)
    ran = prospec_process("validate", "-", stdin=file.read_bytes())
    assert (ran.returncode, "not read from a pipe" in ran.stderr) == (2, True)


@given(data=st.data())
def test_no_damage_to_a_table_is_a_failure_of_ours(tmp_path_factory: Any, data: st.DataObject) -> None:
    """Not even a crash of the process, which offsets out of bounds would be."""
    folder = tmp_path_factory.mktemp("damaged")
    files = list(saved_tables(pa.table({"body": [json.dumps(GOOD), json.dumps(BAD)] * 20}), folder))
    file = data.draw(st.sampled_from(files))
    whole = bytearray(file.read_bytes())
    for at in data.draw(st.lists(st.integers(8, len(whole) - 1), min_size=1, max_size=5)):
        whole[at] ^= data.draw(st.integers(1, 255))
    file.write_bytes(whole)
    for chunk in inputs.chunks([str(file)], inputs.Meter(), max_bytes=1 << 20):
        if isinstance(chunk, chunks.Rows):
            rows = ipc.open_stream(chunk.data).read_next_batch()
            list(requests(rows, chunk.columns))


# Summary


def test_the_summary_counts_by_model_field_and_code(prospec: Prospec, tmp_path: Path) -> None:
    file, summary = tmp_path / "a.ndjson", tmp_path / "summary.json"
    file.write_bytes(ndjson(*MIXED))
    expected = {
        "complete": True,
        "requests": 7,
        "invalid": 4,
        "errors": 4,
        "warnings": 1,
        "unreadable": [],
        "problems": [
            {
                "model": model,
                "field": field,
                "code": code,
                "severity": severity,
                "count": count,
                "first": {"file": str(file), "line": line},
            }
            for model, field, code, severity, count, line in [
                ("seedance-2-fast", "/params/duration", "maximum", "error", 2, 2),
                (None, "", "json", "error", 1, 4),
                ("seedance-2-fast", "/params/image_url", "media", "warning", 1, 5),
                ("nope", "/model", "model", "error", 1, 6),
            ]
        ],
        "other_problems": 0,
    }
    for format in ("text", "json", "github"):
        ran = prospec("validate", str(file), "--format", format, "--summary", str(summary))
        assert json.loads(summary.read_text("utf-8")) == expected
        shown = ran.stderr.splitlines()
        assert shown[-1] == "7 requests, 4 invalid, 1 warnings"
        if format == "json":
            assert len(shown) == 1
        else:
            assert shown[0] == "problems by model, field and code:"
            assert shown[1].split() == [
                "2",
                "seedance-2-fast",
                *["/params/duration", "maximum", "error", "first:"],
                f"{file}:2",
            ]
            assert len(shown) == 6
    assert len(prospec("validate", str(file), "--format", "json").stdout.splitlines()) == 7


def test_strict_is_so_in_the_summary(prospec: Prospec, tmp_path: Path) -> None:
    (tmp_path / "a.ndjson").write_bytes(ndjson(DOUBTFUL))
    prospec("validate", str(tmp_path / "a.ndjson"), "--strict", "--summary", str(tmp_path / "s.json"))
    told = json.loads((tmp_path / "s.json").read_text("utf-8"))
    assert (told["errors"], told["warnings"], told["invalid"]) == (1, 0, 1)


def test_an_unreadable_file_is_in_the_summary(prospec: Prospec, tmp_path: Path) -> None:
    file = tmp_path / "a.ndjson.gz"
    file.write_bytes(gzip.compress(DATA)[:-4])
    ran = prospec("validate", str(file), "--summary", str(tmp_path / "s.json"))
    told = json.loads((tmp_path / "s.json").read_text("utf-8"))
    reason = "the gzip data end too early"
    assert told["unreadable"] == [{"file": str(file), "line": 2701, "reason": reason}]
    assert (ran.returncode, told["requests"]) == (2, 2100)


@pytest.mark.parametrize("file", ["missing/s.json", "."])
def test_a_summary_that_cannot_be_written_is_told_before_all(prospec: Prospec, tmp_path: Path, file: str) -> None:
    ran = prospec("validate", "--summary", str(tmp_path / file), stdin=ndjson(BAD))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "--summary" in ran.stderr


def test_kinds_of_problems_do_not_fill_memory(
    prospec: Prospec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """More names than are kept apart: those that came first are, whatever the number of processes."""
    monkeypatch.setattr(tally, "KINDS", 30)
    monkeypatch.setattr(tally, "TOLD", 4)
    file, summary = tmp_path / "a.ndjson", tmp_path / "summary.json"
    names = [f"nope-{number % 70}" for number in range(21_000)]
    file.write_bytes(ndjson(*({"model": name, "params": {"prompt": "x" * 90}} for name in names)))
    found = []
    for jobs in "12":
        ran = prospec("validate", str(file), "--summary", str(summary), "--jobs", jobs)
        told = json.loads(summary.read_text("utf-8"))
        found.append((told, ran.stderr))
        assert [each["model"] for each in told["problems"]] == names[:30]
        assert sum(each["count"] for each in told["problems"]) + told["other_problems"] == 21_000
        assert {each["count"] for each in told["problems"]} == {300}
        assert re.search(r"\n  19,800  in more than 26 other kinds\n", ran.stderr)
    assert found[0] == found[1]


# Progress


def on_a_terminal(arguments: Sequence[str], stdin: Callable[[Any], None], *, stdout: bool) -> tuple[int, str, str]:
    """Run with a terminal for stderr, and for stdout too where that is asked for. Exit code, stdout, stderr."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        [sys.executable, "-m", "prospec", "validate", *arguments],
        stdin=subprocess.PIPE,
        stdout=theirs if stdout else subprocess.PIPE,
        stderr=theirs,
        env={**os.environ, "TERM": "xterm", "NO_COLOR": "", "COLUMNS": "120"},
    )
    os.close(theirs)
    screen = bytearray()

    def watch() -> None:
        while True:
            try:
                read = os.read(ours, 1 << 16)
            except OSError:  # nobody has it open any more
                return
            if not read:
                return
            screen.extend(read)

    watching = threading.Thread(target=watch)
    watching.start()
    stdin(process.stdin)
    out, _ = process.communicate(timeout=60)
    watching.join()
    os.close(ours)
    return process.returncode, (out or b"").decode(), screen.decode()


def test_a_bar_is_shown_on_a_terminal_and_gone_in_the_end() -> None:
    def slowly(stdin: Any) -> None:
        for _ in range(20):
            stdin.write(ndjson(*[GOOD] * 20_000))
            stdin.flush()
            time.sleep(0.1)

    code, out, screen = on_a_terminal([], slowly, stdout=False)
    assert (code, out) == (0, "")
    _, shown, after = screen.rpartition("━")
    assert shown
    assert "\x1b[2K" in after, "the line is erased"
    assert re.search(r"[0-9,]+ requests, 0 invalid, [0-9,]+/s, [0-9,]+ MB/s", screen)
    assert screen.rstrip().removesuffix("\x1b[0m").endswith("400,000 requests, 0 invalid")


def test_neither_bar_nor_line_is_in_the_output_of_a_short_run(prospec_process: Prospec) -> None:
    ran = prospec_process("validate", stdin=ndjson(*[GOOD] * 100))
    assert ran.stderr == "100 requests, 0 invalid\n"


def test_elsewhere_a_plain_line_comes_now_and_then(
    prospec: Prospec, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal.Ticker, "EVERY_S", 0.0)
    (tmp_path / "a.ndjson").write_bytes(ndjson(*[GOOD] * 40_000))
    *lines, last = prospec("validate", str(tmp_path / "a.ndjson"), "--jobs", "1").stderr.splitlines()
    assert last == "40,000 requests, 0 invalid"
    assert len(lines) > 3
    for line in lines:
        assert re.fullmatch(r"[0-9,]+ requests, 0 invalid, [0-9,]+/s, [0-9,]+ MB/s, [0-9]+%, [0-9]+ s left", line)
    assert lines[-1].split(", ")[-2] == "100%"


# Memory and interruption

ON_LINUX = pytest.mark.skipif(not sys.platform.startswith("linux"), reason="reads /proc")


def started(*arguments: str, unbuffered: bool = False) -> subprocess.Popen[bytes]:
    """In a process group of its own."""
    env = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    return subprocess.Popen(
        [sys.executable, "-m", "prospec", "validate", *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**env, **({"PYTHONUNBUFFERED": "1"} if unbuffered else {})},
        start_new_session=True,
    )


def children(pid: int) -> list[int]:
    tasks = Path(f"/proc/{pid}/task").glob("*/children")
    return [int(child) for task in tasks for child in task.read_text("ascii").split()]


def helpers(process: subprocess.Popen[bytes], jobs: int) -> list[int]:
    """The processes that it has started, once it has."""
    if jobs == 1:
        return []
    assert process.stdout
    while len(found := children(process.pid)) < jobs:
        assert process.stdout.readline()
    return found


def largest_mb(pids: Sequence[int]) -> float:
    """The most memory that any of them has had."""
    kib = [
        int(line.split()[1])
        for pid in pids
        for line in Path(f"/proc/{pid}/status").read_text("ascii").splitlines()
        if line.startswith("VmHWM")
    ]
    return max(kib) / 1024


def eventually(condition: Callable[[], bool]) -> bool:
    until = time.monotonic() + 30
    while not condition() and time.monotonic() < until:
        time.sleep(0.02)
    return condition()


def is_gone(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text("ascii").rpartition(")")[2].split()[0]
    except OSError:
        return True
    return state == "Z"


@ON_LINUX
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_neither_many_lines_nor_a_long_one_are_held(jobs: str) -> None:
    """Some 200 MB, half of them one line: a whole that was held would show."""
    process = started("-", "--jobs", jobs)
    assert process.stdin
    block = ndjson({**GOOD, "params": {"prompt": "x" * 3000}}) * 300
    for _ in range(110):
        process.stdin.write(block)
    for _ in range(100):
        process.stdin.write(b" " * 999_999 + b"x")
    process.stdin.write(b"\n" + block * 2)
    process.stdin.flush()
    most = largest_mb([process.pid, *children(process.pid)])
    out, err = process.communicate(timeout=60)
    assert out.decode().startswith("-:33001: error json /: not a JSON value: 100,000,000 bytes")
    assert err.decode() == "33,601 requests, 1 invalid\n"
    assert most < 120


def endless(process: subprocess.Popen[bytes], line: bytes) -> threading.Thread:
    """Lines until nobody takes them."""
    assert process.stdin
    pipe = process.stdin

    def write() -> None:
        try:
            while True:
                pipe.write(line * 1000)
        except (OSError, ValueError):
            return

    thread = threading.Thread(target=write, daemon=True)
    thread.start()
    return thread


@ON_LINUX
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["SIGINT", "SIGTERM"])
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("whole_group", [False, True], ids=["it alone", "its group"])
def test_a_signal_ends_it_with_the_counts_so_far(
    tmp_path: Path, number: signal.Signals, jobs: str, whole_group: bool
) -> None:
    """In the midst of writing a chunk's lines, as nobody reads them: those of the counts are all there."""
    summary = tmp_path / "s.json"
    process = started("-", "--jobs", jobs, "--summary", str(summary), unbuffered=whole_group)
    feeding = endless(process, ndjson(BAD))
    assert process.stdout
    assert process.stderr
    process.stdout.readline()  # it has begun
    workers = helpers(process, int(jobs))
    time.sleep(0.3)  # until the pipe is full
    (os.killpg if whole_group else os.kill)(process.pid, number)
    out, err = process.stdout.read(), process.stderr.read()
    assert process.wait(timeout=60) == 3
    assert b"Traceback" not in err
    last = err.decode().splitlines()[-1]
    told = re.fullmatch(r"interrupted; so far ([0-9,]+) requests, \1 invalid", last)
    assert told, err
    count = int(told[1].replace(",", ""))
    assert out.splitlines(keepends=True)[-1].startswith(f"-:{count}: ".encode())
    assert out.endswith(b"\n")
    assert (found := json.loads(summary.read_text("utf-8")))["complete"] is False
    assert found["requests"] == count
    assert eventually(lambda: all(map(is_gone, workers)))
    feeding.join(30)


@ON_LINUX
def test_a_signal_ends_it_while_nothing_comes() -> None:
    process = started("-", "--jobs", "2")
    assert process.stdin
    process.stdin.write(ndjson(*[BAD] * 100))
    process.stdin.flush()
    assert eventually(lambda: Path(f"/proc/{process.pid}/wchan").exists())
    time.sleep(1)
    process.send_signal(signal.SIGINT)
    assert process.wait(timeout=60) == 3
    assert process.stderr
    assert b"interrupted; so far" in process.stderr.read()


@ON_LINUX
def test_the_other_processes_leave_ctrl_c_to_the_one_that_started_them() -> None:
    process = started("-", "--jobs", "2")
    feeding = endless(process, ndjson(BAD))
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    workers = helpers(process, 2)
    for worker in workers:
        os.kill(worker, signal.SIGINT)
    for _ in range(30_000):  # several chunks of each
        assert process.stdout.readline()
    assert not any(map(is_gone, workers))
    process.send_signal(signal.SIGINT)
    process.stdout.read()
    assert process.wait(timeout=60) == 3
    assert b"Traceback" not in process.stderr.read()
    feeding.join(30)


@ON_LINUX
def test_without_the_process_that_started_them_the_others_end() -> None:
    process = started("-", "--jobs", "2")
    feeding = endless(process, ndjson(BAD))
    assert process.stdout
    process.stdout.readline()
    workers = helpers(process, 2)
    process.kill()
    process.wait()
    assert eventually(lambda: all(map(is_gone, workers)))
    process.stdout.close()
    feeding.join(30)


@ON_LINUX
def test_a_process_that_is_killed_ends_the_run_with_a_word() -> None:
    process = started("-", "--jobs", "2")
    feeding = endless(process, ndjson(BAD))
    assert process.stdout
    process.stdout.readline()
    assert process.stderr
    os.kill(helpers(process, 2)[0], signal.SIGKILL)
    process.stdout.read()
    err = process.stderr.read().decode()
    assert process.wait(timeout=60) == 3
    assert re.search(r"^a process was ended by the system, .*; so far [0-9,]+ requests, [0-9,]+ invalid$", err, re.M)
    assert "Traceback" not in err
    feeding.join(30)


@ON_LINUX
@pytest.mark.parametrize("jobs", ["1", "2"])
@pytest.mark.parametrize("format", ["text", "json"])
@pytest.mark.parametrize("unbuffered", [False, True], ids=["buffered", "unbuffered"])
def test_a_reader_that_goes_ends_it_at_once_with_the_counts_so_far(jobs: str, format: str, unbuffered: bool) -> None:
    process = started("-", "--jobs", jobs, "--format", format, unbuffered=unbuffered)
    feeding = endless(process, ndjson(BAD))
    assert process.stdout
    assert process.stderr
    process.stdout.readline()
    workers = helpers(process, int(jobs))
    process.stdout.close()
    err = process.stderr.read().decode()
    assert process.wait(timeout=60) == 1
    assert re.search(r"the reader of the output has gone; so far [0-9,]+ requests, [0-9,]+ invalid\n$", err)
    assert "Traceback" not in err
    assert eventually(lambda: all(map(is_gone, workers)))
    feeding.join(30)
