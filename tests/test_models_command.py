"""`prospec models`: the catalog as JSON in the shape of the contract, and as text that loses nothing."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from prospec.cli import models
from prospec.ir import Choice, Flag, ListOf, Media, Number, Size, Spec, Text
from prospo import validate

Prospec = Callable[..., CompletedProcess[str]]

MODEL = {"id", "name", "family", "kind", "modes"}
MODE = {"id", "evidence", "params"}
PARAM = {"name", "type", "required", "evidence"}
PARAM_MAY = {"default", "enum", "min", "max", "max_items", "unit", "media"}
"""The members that the contract fixes; more may be added."""
EVIDENCE = {"documented", "inferred", "assumed"}


@pytest.fixture
def listed(prospec: Prospec) -> list[dict[str, Any]]:
    ran = prospec("models", "--format", "json")
    assert (ran.returncode, ran.stderr) == (0, "")
    found: list[dict[str, Any]] = json.loads(ran.stdout)
    return found


def test_json_has_the_members_of_the_contract(listed: list[dict[str, Any]]) -> None:
    for model in listed:
        assert model.keys() >= MODEL
        assert model["kind"] in ("video", "image")
        for mode in model["modes"]:
            assert mode.keys() >= MODE
            assert mode["evidence"] in EVIDENCE
            for param in mode["params"]:
                assert param.keys() >= PARAM
                assert param["evidence"] in EVIDENCE
                assert None not in param.values(), "absent where there is none"


def test_json_tells_what_the_spec_holds(listed: list[dict[str, Any]], spec: Spec) -> None:
    assert [model["id"] for model in listed] == [model.id for model in spec.models]
    for model, of_spec in zip(listed, spec.models, strict=True):
        assert (model["name"], model["family"], model["kind"]) == (of_spec.name, of_spec.family, of_spec.kind)
        assert [mode["id"] for mode in model["modes"]] == [mode.id for mode in of_spec.modes]
        for mode, mode_of_spec in zip(model["modes"], of_spec.modes, strict=True):
            rows = {param["name"]: param for param in mode["params"]}
            assert list(rows) == [row.name for row in mode_of_spec.params]
            for row in mode_of_spec.params:
                found = rows[row.name]
                assert found.get("default") == row.default
                assert (found["required"], found["evidence"]) == (row.required, row.evidence)
                match row.type:
                    case Choice(of):
                        assert (found["type"], found["enum"]) == ("string", list(of))
                    case Number(low, high, unit):
                        bounds = (found.get("min"), found.get("max"), found.get("unit"))
                        assert (found["type"], bounds) == ("number", (low, high, unit))
                    case ListOf(Media(media), _, high):
                        assert (found["type"], found["media"], found.get("max_items")) == ("array", media, high)
                    case Media(media):
                        assert (found["type"], found["media"]) == ("string", media)
                    case Size(presets, _, low, high, _):
                        bounds = (found["enum"], found["min"], found["max"])
                        assert (found["type"], bounds) == ("string|object", (list(presets), low, high))
                    case Text():
                        assert (found["type"], PARAM_MAY & found.keys()) == ("string", set())
                    case Flag():
                        assert (found["type"], PARAM_MAY & found.keys() - {"default"}) == ("boolean", set())


def test_one_row_in_full(prospec: Prospec) -> None:
    (model,) = json.loads(prospec("models", "seedance-2-fast", "text", "--format", "json").stdout)
    (mode,) = model["modes"]
    (duration,) = [param for param in mode["params"] if param["name"] == "duration"]
    assert {name: duration[name] for name in PARAM | (PARAM_MAY & duration.keys())} == {
        "name": "duration",
        "type": "number",
        "required": False,
        "default": 5,
        "min": 4,
        "max": 15,
        "unit": "s",
        "evidence": "documented",
    }
    assert model["price"]["rates"] == [
        {"when": {"resolution": "480p"}, "usd": 0.07, "evidence": "documented"},
        {"when": {"resolution": "720p"}, "usd": 0.15, "evidence": "documented"},
    ]


def test_false_is_a_default_and_not_the_want_of_one(prospec: Prospec) -> None:
    (model,) = json.loads(prospec("models", "kling-o3", "text", "--format", "json").stdout)
    defaults = {param["name"]: param.get("default", "none") for param in model["modes"][0]["params"]}
    assert defaults["generate_audio"] is False
    assert defaults["prompt"] == "none"


def test_a_model_without_a_price_has_none_in_json(listed: list[dict[str, Any]]) -> None:
    unpriced = {model["id"] for model in listed if not model.get("price")}
    assert unpriced == {"seedance-2", "kling-v3", "veo-3-1"}


def test_what_a_model_has_not_is_absent(listed: list[dict[str, Any]]) -> None:
    assert [model["id"] for model in listed if model.get("price", "absent") is None] == []
    assert [model["id"] for model in listed if None in (model.get("price") or {}).values()] == []


def test_each_mode_shows_a_request_that_is_valid(listed: list[dict[str, Any]]) -> None:
    examples = [mode["example"] for model in listed for mode in model["modes"]]
    assert len(examples) == 24
    assert [problem for example in examples for problem in validate(example)] == []


def test_json_of_one_model_is_a_list_of_one(prospec: Prospec) -> None:
    (model,) = json.loads(prospec("models", "veo-3-1", "--format", "json").stdout)
    assert (model["id"], [mode["id"] for mode in model["modes"]]) == ("veo-3-1", ["text", "image", "reference"])
    (model,) = json.loads(prospec("models", "veo-3-1", "reference", "--format", "json").stdout)
    assert [mode["id"] for mode in model["modes"]] == ["reference"]


def test_text_lists_every_model(prospec: Prospec, spec: Spec) -> None:
    ran = prospec("models")
    assert (ran.returncode, ran.stderr) == (0, "")
    _, *rows = ran.stdout.splitlines()
    assert [row.split()[0] for row in rows] == [model.id for model in spec.models]
    for row, model in zip(rows, spec.models, strict=True):
        assert model.name in row
        assert ", ".join(mode.id for mode in model.modes) in row


@pytest.mark.parametrize("columns", ["20", "80", "400"])
def test_text_of_a_model_loses_nothing_to_the_width(prospec: Prospec, spec: Spec, columns: str) -> None:
    for model in spec.models:
        ran = prospec("models", model.id, env={"COLUMNS": columns})
        assert ran.returncode == 0
        assert "…" not in ran.stdout
        for mode in model.modes:
            assert f"mode {mode.id}: {mode.title}" in ran.stdout
            for row in mode.params:
                lines = [line for line in ran.stdout.splitlines() if line.split()[:1] == [row.name]]
                assert lines, row.name
                if isinstance(row.type, Choice):
                    assert all(value in ran.stdout for value in row.type.of)
                if row.default is not None:
                    assert any(f" {str(row.default).lower()}" in line.lower() for line in lines)


def test_text_of_one_mode_leaves_the_others_out(prospec: Prospec) -> None:
    text = prospec("models", "seedance-2-fast", "text").stdout
    assert "mode text: " in text
    assert "the default mode" in text
    assert "mode image: " not in text
    assert "4 to 15 s" in text


USAGE: dict[str, tuple[tuple[str, ...], str]] = {
    "an unknown model": (("nope",), "seedance-2-fast"),
    "an unknown mode": (("seedance-2-fast", "nope"), "reference"),
    "a mode of another model": (("seedance-2-fast", "generate"), "reference"),
    "an empty model": (("",), "seedance-2-fast"),
    "too many words": (("seedance-2-fast", "text", "duration"), "duration"),
    "an unknown flag": (("--nope",), "--nope"),
}


@pytest.mark.parametrize("format", [(), ("--format", "json")], ids=["text", "json"])
@pytest.mark.parametrize("name", USAGE)
def test_what_the_catalog_does_not_have_is_exit_2_and_names_what_it_has(
    prospec: Prospec, name: str, format: tuple[str, ...]
) -> None:
    arguments, told = USAGE[name]
    ran = prospec("models", *arguments, *format)
    assert (ran.returncode, ran.stdout) == (2, "")
    assert told in ran.stderr
    assert "Traceback" not in ran.stderr


def test_an_unknown_format_is_exit_2(prospec: Prospec) -> None:
    ran = prospec("models", "--format", "yaml")
    assert (ran.returncode, ran.stdout) == (2, "")
    assert "json" in ran.stderr


def test_colour_is_off_unless_it_is_asked_for(prospec: Prospec) -> None:
    assert "\x1b" not in prospec("models", "kling-o3").stdout
    assert "\x1b" in prospec("models", "kling-o3", "--color", "always").stdout
    assert "\x1b" not in prospec("models", "kling-o3", "--format", "json", "--color", "always").stdout


EXAMPLES = [line.strip() for line in (models.__doc__ or "").split("```")[1].splitlines() if line.strip()]


@pytest.mark.parametrize("line", EXAMPLES)
def test_the_examples_of_the_help_run(line: str, tmp_path: Path) -> None:
    env = {**os.environ, "PATH": os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])}
    ran = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False)
    assert (ran.returncode, ran.stderr) == (0, b"")
    assert ran.stdout


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_of_another_encoding_is_served_too(prospec_process: Prospec, encoding: str) -> None:
    ran = prospec_process("models", "seedance-2-fast", env={"PYTHONIOENCODING": encoding})
    assert ran.returncode == 0
    assert "duration" in ran.stdout


@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_reader_that_has_gone_is_not_our_failure(env: dict[str, str]) -> None:
    read, write = os.pipe()
    os.close(read)
    environment = {name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}
    command = [sys.executable, "-m", "prospec", "models"]
    with os.fdopen(write, "wb") as gone:
        ran = subprocess.run(
            command, stdout=gone, stderr=subprocess.PIPE, env={**environment, **env}, timeout=60, check=False
        )
    assert (ran.returncode, ran.stderr) == (0, b"")
