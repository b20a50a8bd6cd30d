"""Datasets in pieces: which files a name stands for, and that pieces, read apart, say what the whole file says."""

from __future__ import annotations

import gzip
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import pyarrow as pa
import pytest
from drawn import draw
from hypothesis import assume, example, given
from hypothesis import strategies as st
from machine import lacking
from prospec import chunks as cutting
from prospec.chunks import Chunk, LongLine, Rows, Unreadable
from prospec.inputs import Meter, chunks
from prospec.judging import Verdict, judge
from prospec.pieces import Ends, Piece, groups, pieces, read
from prospec.pieces import reason as told
from pyarrow import ipc, parquet

MAX_BYTES = 64
LINES = st.lists(
    st.sampled_from(
        [b"", b" ", b"{}", b"\xef\xbb\xbf", b"\xef\xbb\xbf{}", b"x" * (MAX_BYTES + 1), b" " * (MAX_BYTES + 9), b"y\r"]
    )
    | st.binary(max_size=MAX_BYTES * 2),
    max_size=12,
)
Told = list[tuple[int, object]]


@pytest.fixture(scope="module", autouse=True)
def fsspec_is_there() -> None:
    if not find_spec("fsspec"):
        lacking("fsspec is not installed")


def lines_of(found: Sequence[Chunk], before: int = 0) -> Told:
    """Every line with its number, except the blank; of one that is too long, its length."""
    lines: Told = []
    for chunk in found:
        if isinstance(chunk, LongLine):
            lines.append((before + chunk.line, chunk.size))
        else:
            assert isinstance(chunk, cutting.Lines)
            for number, line in enumerate(chunk.data.split(b"\n"), before + chunk.first):
                text = line.removesuffix(b"\r")
                if line.strip():
                    lines.append((number, line if len(text) <= MAX_BYTES else len(text)))
    return lines


OTHERWISE = (b"\x1f\x8b", b"\x28\xb5\x2f\xfd", b"PAR1", b"ARROW1", b"\xff\xff\xff\xff")
"""How a file begins that holds no lines, whatever it is called."""


@given(LINES, st.booleans(), st.integers(1, 200))
@example([b"PAR1"], False, 1)
def test_lines_keep_their_numbers_wherever_a_file_is_cut(
    tmp_path_factory: pytest.TempPathFactory, lines: list[bytes], ended: bool, piece_bytes: int
) -> None:
    file = tmp_path_factory.getbasetemp() / "cut.ndjson"
    content = b"\n".join(lines) + b"\n" * ended
    assume(not content.startswith(OTHERWISE))
    file.write_bytes(content)
    whole = lines_of(list(chunks([str(file)], Meter(), max_bytes=MAX_BYTES)))
    found: Told = []
    before = 0
    for piece in pieces([str(file)], [], piece_bytes=piece_bytes):
        assert isinstance(piece, Piece)
        ends = Ends()
        found += lines_of(list(read(piece, ends, max_bytes=MAX_BYTES)), before)
        before += ends.count
    assert found == whole


def test_a_long_line_is_read_by_one_piece_and_held_by_none(tmp_path: Path) -> None:
    file = tmp_path / "long.ndjson"
    file.write_bytes(b"{}\n" + b"x" * 5_000_000 + b"\n{}\n")
    cut = [each for each in pieces([str(file)], [], piece_bytes=500_000) if isinstance(each, Piece)]
    assert len(cut) == 11
    found = [list(read(piece, Ends(), max_bytes=MAX_BYTES)) for piece in cut]
    assert [chunk for each in found[1:-1] for chunk in each] == []
    assert [type(chunk).__name__ for chunk in found[0]] == ["Lines", "LongLine"]
    assert sum(piece.size for piece in cut) == file.stat().st_size


def verdicts_of(found: Sequence[Chunk]) -> list[Verdict]:
    return [verdict for chunk in found for verdict in judge(chunk)[1]]


@pytest.mark.parametrize("row_group_size", [1, 7, 50, 1000])
@pytest.mark.parametrize("piece_bytes", [1, 1000, 5000, 10**9])
def test_row_groups_are_each_read_by_one_piece(tmp_path: Path, row_group_size: int, piece_bytes: int) -> None:
    file = tmp_path / "cut.parquet"
    bodies = [draw(number).data for number in range(200)]
    parquet.write_table(pa.table({"request": pa.array(bodies, pa.binary())}), file, row_group_size=row_group_size)
    whole = verdicts_of(list(chunks([str(file)], Meter(), max_bytes=MAX_BYTES)))
    found = []
    for piece in pieces([str(file)], [], piece_bytes=piece_bytes):
        assert isinstance(piece, Piece)
        parts = list(read(piece, Ends(), max_bytes=MAX_BYTES))
        rows = [ipc.open_stream(part.data).read_all().num_rows for part in parts if isinstance(part, Rows)]
        assert [part.first for part in parts if isinstance(part, Rows)] == [1 + sum(rows[:n]) for n in range(len(rows))]
        found += verdicts_of(parts)
    assert [(each.problems, each.model) for each in found] == [(each.problems, each.model) for each in whole]


@pytest.mark.parametrize("named", ["a.ndjson", "a.parquet"])
def test_what_is_no_text_after_all_is_read_once_and_whole(tmp_path: Path, named: str) -> None:
    """What a file begins with decides, then its name: as locally."""
    file = tmp_path / named
    file.write_bytes(gzip.compress(b"".join(b'{"n": %d}\n' % number for number in range(1000)), 1))
    whole = list(chunks([str(file)], Meter(), max_bytes=MAX_BYTES))
    cut = [each for each in pieces([str(file)], [], piece_bytes=500) if isinstance(each, Piece)]
    assert len(cut) > 2
    assert [chunk for piece in cut for chunk in read(piece, Ends(), max_bytes=MAX_BYTES)] == whole


# Names


FOLDER = {
    "a.ndjson": b"{}\n",
    "b/c.jsonl.gz": b"",
    "b/d.parquet": b"",
    "e.json": b"{}",
    "f.feather": b"",
    "g.ndjson.zst": b"",
    "h.arrow": b"",
    "README.md": b"",
    "_SUCCESS": b"",
    ".hidden.ndjson": b"",
    "_temporary/0.ndjson": b"",
    "b/i.csv.gz": b"",
}


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for name, data in FOLDER.items():
        (tmp_path / "data" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "data" / name).write_bytes(data)
    return tmp_path


def names(found: Sequence[Piece | Unreadable]) -> list[str]:
    return [each.file for each in found]


IN_FOLDER = ["a.ndjson", "b/c.jsonl.gz", "b/d.parquet", "e.json", "f.feather", "g.ndjson.zst", "h.arrow"]


def test_a_folder_is_its_files_of_requests_by_their_names(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    for given_name, shown in {"data": "data", "data/": "data", str(folder / "data"): str(folder / "data")}.items():
        skipped: list[str] = []
        assert names(pieces([given_name], skipped)) == [f"{shown}/{name}" for name in IN_FOLDER]
        assert skipped == [f"{shown}/README.md", f"{shown}/b/i.csv.gz"]


def test_a_pattern_is_its_matches(folder: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(folder)
    assert names(pieces(["data/*.ndjson"], [])) == ["data/.hidden.ndjson", "data/a.ndjson"]
    assert names(pieces(["data/**/[cd].*"], [])) == ["data/b/c.jsonl.gz", "data/b/d.parquet"]
    (folder / "data" / "x*.ndjson").write_bytes(b"{}\n")
    (folder / "data" / "xy.ndjson").write_bytes(b"{}\n")
    assert names(pieces(["data/x*.ndjson"], [])) == ["data/x*.ndjson"]


def test_a_url_is_read_where_it_leads() -> None:
    import fsspec

    store = fsspec.filesystem("memory")
    store.pipe("/bucket/b/2.ndjson", b'{"model": "nope", "params": {}}\n')
    store.pipe("/bucket/1.ndjson", b"{}\n" * 100)
    try:
        cut = pieces(["memory://bucket", "memory://bucket/*/*.ndjson", "memory://bucket/1.ndjson"], [])
        where = ["memory://bucket/1.ndjson", "memory://bucket/b/2.ndjson"]
        assert names(cut) == [*where, where[1], where[0]]
        for each in cut:
            assert isinstance(each, Piece)
            assert verdicts_of(list(read(each, Ends(), max_bytes=MAX_BYTES)))[0].file == each.file
    finally:
        store.rm("/bucket", recursive=True)


def test_what_is_not_there_is_told_and_ends_nothing(folder: Path) -> None:
    (folder / "empty").mkdir()
    given_names = ["nope.ndjson", str(folder / "empty"), str(folder / "no*"), "nope://a/b", str(folder / "data/e.json")]
    found = pieces(given_names, [])
    assert [isinstance(each, Unreadable) for each in found] == [True, True, True, True, False]
    reasons = [each.reason for each in found if isinstance(each, Unreadable)]
    assert reasons[:3] == ["No such file or directory", *["no file of requests in it"] * 2]
    assert "nope" in reasons[3]


def test_a_file_that_has_gone_since_is_told(folder: Path) -> None:
    (piece,) = pieces([str(folder / "data" / "a.ndjson")], [])
    assert isinstance(piece, Piece)
    (folder / "data" / "a.ndjson").unlink()
    (found,) = read(piece, Ends(), max_bytes=MAX_BYTES)
    assert found == Unreadable(piece.file, "No such file or directory")


@pytest.mark.parametrize(
    "url", ["nope://key:s3cret@place/a.ndjson?Signature=s3cret", "http://127.0.0.1:9/a.ndjson?X-Amz-Signature=s3cret"]
)
def test_no_secret_of_a_url_is_shown(url: str) -> None:
    found = pieces([url], [])
    assert len(found) == 1
    assert "s3cret" not in repr(found)
    assert "a.ndjson" in found[0].file
    assert "s3cret" not in repr(Piece("a.ndjson", url, 1))
    assert "s3cret" not in told(ValueError(f"cannot read {url} for {url}"))


def test_small_pieces_make_a_task_together_and_keep_their_order() -> None:
    sizes = [5, 5, 90, 100, 250, 0, 0, 99, 2]
    cut = [Piece(str(number), "", size) for number, size in enumerate(sizes)]
    grouped = list(groups(cut, piece_bytes=100))
    assert [piece for group in grouped for piece in group] == cut
    assert [[piece.size for piece in group] for group in grouped] == [[5, 5, 90], [100], [250], [0, 0, 99], [2]]


def test_however_large_a_dataset_is_there_are_not_too_many_pieces(tmp_path: Path) -> None:
    file = tmp_path / "large.ndjson"
    with file.open("wb") as sparse:
        sparse.truncate(1 << 40)
    cut = pieces([str(file)], [])
    assert 1000 < len(cut) <= 4096
