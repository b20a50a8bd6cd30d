"""The parsed files of the spec that are kept: used where the text is the same, and never otherwise.

That a value was kept and not parsed shows in a kept file that was changed by hand: the change comes back.
"""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from prospec.ir import Spec
from prospec.loader import load, spec_root
from prospec.parsed import Parsed, cache_file

FILES = sorted(path for path in spec_root().glob("**/*") if path.suffix in (".toml", ".yaml", ".json"))
TEXT = b'name = "x"\n'
JSON = st.dictionaries(
    st.text(max_size=5),
    st.recursive(
        st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False) | st.text(max_size=5),
        lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
        max_leaves=8,
    ),
)


def kept(path: Path, data: bytes = TEXT, suffix: str = ".toml") -> object:
    """What one start says of a file, and keeps for the next."""
    parsed = Parsed(path)
    value = parsed.value(data, suffix)
    parsed.keep()
    return value


def forged(path: Path) -> None:
    """Has every value that is kept be another."""
    path.write_text(json.dumps({key: {"forged": True} for key in json.loads(path.read_text("utf-8"))}), "utf-8")


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "folder" / "spec.json"


def test_what_was_parsed_before_is_not_parsed_again(path: Path) -> None:
    assert kept(path) == {"name": "x"}
    assert kept(path) == {"name": "x"}
    forged(path)
    assert kept(path) == {"forged": True}


@pytest.mark.parametrize("file", FILES, ids=lambda file: file.relative_to(spec_root()).as_posix())
def test_a_file_of_the_spec_is_kept_as_it_was_parsed(file: Path, path: Path) -> None:
    first = kept(path, file.read_bytes(), file.suffix)
    assert path.is_file()
    assert repr(kept(path, file.read_bytes(), file.suffix)) == repr(first)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(value=JSON)
def test_any_document_comes_back_as_it_was(value: dict[str, object], path: Path) -> None:
    data = json.dumps(value).encode()
    assert repr(kept(path, data, ".json")) == repr(value)
    assert repr(kept(path, data, ".json")) == repr(value)


@pytest.mark.parametrize(
    ("data", "suffix"),
    [(b'name = "y"\n', ".toml"), (TEXT + b"\n", ".toml"), (TEXT + b"# remark", ".toml"), (b"{}", ".json")],
)
def test_another_text_is_parsed(data: bytes, suffix: str, path: Path) -> None:
    kept(path)
    forged(path)
    assert "forged" not in str(kept(path, data, suffix))


def test_the_same_text_of_another_format_is_parsed(path: Path) -> None:
    assert kept(path, b'{"1": 1}', ".json") == {"1": 1}
    forged(path)
    assert kept(path, b'{"1": 1}', ".yaml") == {"1": 1}


def test_only_what_was_asked_for_last_is_kept(path: Path) -> None:
    for number in range(5):
        kept(path, f"number = {number}".encode())
    assert list(json.loads(path.read_text("utf-8")).values()) == [{"number": 4}]
    assert [each.name for each in path.parent.iterdir()] == ["spec.json"]


@pytest.mark.parametrize("broken", [b"", b"{", b"[]", b"7", b"null", b"\xff\xfe", b'{"a": '])
def test_a_kept_file_that_is_broken_counts_as_none_and_is_mended(broken: bytes, path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(broken)
    assert kept(path) == {"name": "x"}
    forged(path)
    assert kept(path) == {"forged": True}


def test_where_nothing_can_be_kept_everything_is_parsed(tmp_path: Path) -> None:
    file, folder = tmp_path / "file", tmp_path / "spec.json"
    file.write_bytes(b"")
    folder.mkdir()
    for place in (None, file / "spec.json", folder):
        parsed = Parsed(place)
        assert parsed.value(TEXT, ".toml") == {"name": "x"}
        parsed.keep()
    assert {each.name for each in tmp_path.iterdir()} == {"file", "spec.json"}


def test_what_json_gives_back_otherwise_is_not_kept(path: Path) -> None:
    assert kept(path, b"200: x", ".yaml") == {200: "x"}
    assert not path.exists()
    with pytest.raises(TypeError):
        kept(path, b"day = 2026-11-22", ".toml")
    assert not path.exists()


@pytest.mark.parametrize(
    ("data", "suffix"), [(b"x =", ".toml"), (b"{", ".json"), (b"a: *b", ".yaml"), (b"\xff", ".toml")]
)
def test_what_cannot_be_parsed_is_a_value_error(data: bytes, suffix: str, path: Path) -> None:
    with pytest.raises(ValueError, match=r"expected|decode"):
        kept(path, data, suffix)


def test_a_trusted_spec_is_the_same_from_parsing_and_from_what_was_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("LOCALAPPDATA", str(tmp_path))
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    parsed: Spec = load(trusted=True)
    assert cache_file() == tmp_path / "prospec" / "spec.json"
    again: Spec = load(trusted=True)
    assert repr(again) == repr(parsed)
    assert replace(load(), vectors=parsed.vectors) == parsed
    file = tmp_path / "prospec" / "spec.json"
    file.write_text(file.read_text("utf-8").replace(parsed.service.base_url, "https://kept.example"), "utf-8")
    assert load(trusted=True).service.base_url == "https://kept.example"
    assert load().service.base_url == parsed.service.base_url
    forged(file)
    assert load(trusted=True).models == parsed.models, "what was kept is no spec, so the files are read"


def test_a_relative_folder_for_caches_is_ignored(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("LOCALAPPDATA", "here")
    monkeypatch.setenv("XDG_CACHE_HOME", "here")
    found = cache_file()
    assert found is not None
    assert found.is_absolute()
    assert "here" not in found.parts
