"""`prospec validate`: what it reads, what it prints in each format, and the exit code, as the contract has them."""

from __future__ import annotations

import gzip
import json
import os
import re
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from subprocess import CompletedProcess
from typing import Any

import pytest
from prospec.chunks import CHUNK_BYTES
from prospec.cli import validate

Prospec = Callable[..., CompletedProcess[str]]

GOOD = {"model": "seedance-2-fast", "params": {"prompt": "x"}}
BAD = {"model": "seedance-2-fast", "mode": "text", "params": {"prompt": "x", "duration": 99}}
DOUBTFUL = {"model": "seedance-2-fast", "mode": "image", "params": {"prompt": "x", "image_url": "x"}}
"""Breaks an inferred row alone: a warning."""
UNKNOWN = {"model": "nope", "params": {}}


def lines(*requests: object) -> str:
    """NDJSON; a string stands as it is."""
    return "".join(f"{each if isinstance(each, str) else json.dumps(each)}\n" for each in requests)


@pytest.fixture
def saved(tmp_path: Path) -> Callable[[str, object], str]:
    """Saves a file and gives its path: text and bytes as they are, else as JSON."""

    def save(name: str, content: object) -> str:
        path = tmp_path / name
        match content:
            case bytes():
                path.write_bytes(content)
            case str():
                path.write_text(content, "utf-8")
            case _:
                path.write_text(json.dumps(content), "utf-8")
        return str(path)

    return save


Saved = Callable[[str, object], str]


def verdicts(ran: CompletedProcess[str]) -> list[dict[str, Any]]:
    return [json.loads(line) for line in ran.stdout.splitlines()]


# Exit codes

EXITS: dict[str, tuple[str, object, int]] = {
    "a valid request": ("a.json", GOOD, 0),
    "an invalid request": ("a.json", BAD, 1),
    "a warning": ("a.json", DOUBTFUL, 0),
    "a list of valid requests": ("a.json", [GOOD, GOOD], 0),
    "a list with an invalid one": ("a.json", [GOOD, BAD, GOOD], 1),
    "a list with one that is no request": ("a.json", [GOOD, 5], 1),
    "a number": ("a.json", 5, 1),
    "half a document": ("a.json", '{"model": ', 1),
    "an empty .json": ("a.json", "", 1),
    "an empty list": ("a.json", [], 3),
    "an empty .ndjson": ("a.ndjson", "", 3),
    "blank lines alone": ("a.ndjson", "\n \n\t\n", 3),
    "valid lines": ("a.ndjson", lines(GOOD, GOOD), 0),
    "valid lines in a .jsonl": ("a.jsonl", lines(GOOD, GOOD), 0),
    "valid lines, the last unended": ("a.ndjson", lines(GOOD, GOOD)[:-1], 0),
    "valid lines, ended as on Windows": ("a.ndjson", lines(GOOD, GOOD).replace("\n", "\r\n"), 0),
    "an invalid line": ("a.ndjson", lines(GOOD, BAD), 1),
    "a line that is no JSON": ("a.ndjson", lines(GOOD, "{", GOOD), 1),
    "a line that is no UTF-8": ("a.ndjson", lines(GOOD).encode() + b'{"model": "\xff"}\n', 1),
    "a line of more than 1 MiB": ("a.ndjson", lines(GOOD, " " * (1 << 20) + json.dumps(GOOD)), 1),
    "a list of more than 1 MiB": ("a.json", [{**GOOD, "params": {"prompt": "x" * 300_000}}] * 4, 0),
    "a request of more than 1 MiB": ("a.json", {**GOOD, "params": {"prompt": "x" * (1 << 20)}}, 1),
}


@pytest.mark.parametrize("name", EXITS)
@pytest.mark.parametrize("format", ["text", "json", "github"])
def test_the_exit_code_tells_clean_from_findings_from_nothing(
    prospec: Prospec, saved: Saved, name: str, format: str
) -> None:
    file, content, code = EXITS[name]
    ran = prospec("validate", saved(file, content), "--format", format)
    assert ran.returncode == code
    assert "Traceback" not in ran.stderr


USAGE: dict[str, tuple[str, ...]] = {
    "an unknown flag": ("validate", "--nope"),
    "an unknown format": ("validate", "--format", "xml"),
    "jobs that are no number": ("validate", "--jobs", "many"),
    "no jobs": ("validate", "--jobs", "0"),
    "less than no jobs": ("validate", "--jobs=-1"),
    "an unknown colour": ("validate", "--color", "red"),
    "a value for a switch": ("validate", "--strict=perhaps"),
    "an unknown command": ("nope",),
    "an unknown command with a flag": ("nope", "--strict"),
    "an unknown flag of no command": ("--nope",),
}


@pytest.mark.parametrize("name", USAGE)
def test_a_wrong_argument_is_exit_2_and_a_word_on_stderr(prospec: Prospec, name: str) -> None:
    ran = prospec(*USAGE[name], stdin=json.dumps(GOOD).encode())
    assert (ran.returncode, ran.stdout) == (2, "")
    assert ran.stderr.strip()
    assert "Traceback" not in ran.stderr
    assert "internal error" not in ran.stderr


def test_a_file_that_is_missing_does_not_keep_the_others_from_being_judged(prospec: Prospec, saved: Saved) -> None:
    missing = saved("x", "") + "-missing.json"
    ran = prospec("validate", missing, saved("a.json", BAD), "--format", "json")
    assert ran.returncode == 2
    assert [verdict["valid"] for verdict in verdicts(ran)] == [False]
    assert missing in ran.stderr


def test_a_folder_is_unreadable_input(prospec: Prospec, tmp_path: Path) -> None:
    ran = prospec("validate", str(tmp_path))
    assert (ran.returncode, ran.stdout) == (2, "")
    assert str(tmp_path) in ran.stderr


# JSON


def test_json_is_an_object_a_request_in_the_order_of_the_input(prospec: Prospec, saved: Saved) -> None:
    one = saved("one.json", BAD)
    many = saved("many.json", [GOOD, DOUBTFUL])
    streamed = saved("streamed.ndjson", lines(GOOD, "", "{broken", UNKNOWN))
    ran = prospec("validate", one, many, streamed, "--format", "json")
    found = [(verdict["file"], verdict["line"], verdict["valid"]) for verdict in verdicts(ran)]
    assert found == [
        (one, 1, False),
        (many, 1, True),
        (many, 2, True),
        (streamed, 1, True),
        (streamed, 3, False),
        (streamed, 4, False),
    ]
    assert ran.returncode == 1


def test_a_verdict_in_json_has_the_shape_of_the_contract(prospec: Prospec, saved: Saved) -> None:
    file = saved("a.json", BAD)
    (verdict,) = verdicts(prospec("validate", file, "--format", "json"))
    (problem,) = verdict.pop("problems")
    assert verdict == {
        "file": file,
        "line": 1,
        "valid": False,
        "model": "seedance-2-fast",
        "mode": "text",
        "cost_usd": None,
    }
    assert list(problem) == ["path", "code", "severity", "evidence", "message", "hint"]
    assert (problem["path"], problem["code"]) == ("/params/duration", "maximum")
    assert (problem["severity"], problem["evidence"]) == ("error", "documented")
    assert "15" in problem["message"]


COSTS: dict[str, tuple[dict[str, Any], float | None]] = {
    "5 s at 720p, by default": (GOOD, 0.75),
    "10 s at 480p": ({**GOOD, "params": {"prompt": "x", "duration": 10, "resolution": "480p"}}, 0.7),
    "8 s of Veo with sound, by default": ({"model": "veo-3-1-fast", "params": {"prompt": "x"}}, 0.72),
    "4 s of Veo without": (
        {"model": "veo-3-1-fast", "params": {"prompt": "x", "duration": "4s", "generate_audio": False}},
        0.24,
    ),
    "three images": ({"model": "seedream-5-lite", "params": {"prompt": "x", "num_images": 3}}, 0.042),
    "a quality without a price": ({"model": "gpt-image-2", "params": {"prompt": "x", "quality": "auto"}}, None),
    "a model without a price": ({"model": "kling-v3", "params": {"prompt": "x"}}, None),
    "a clip whose length only the provider knows": (
        {"model": "kling-3-motion-control", "params": {"image_url": "https://a.b", "video_urls": ["https://a.b"]}},
        None,
    ),
}


@pytest.mark.parametrize("name", COSTS)
def test_a_valid_request_bears_its_published_price(prospec: Prospec, saved: Saved, name: str) -> None:
    request, cost = COSTS[name]
    (verdict,) = verdicts(prospec("validate", saved("a.json", request), "--format", "json"))
    assert verdict["valid"]
    assert verdict["cost_usd"] == cost


NO_COST = {
    "a negative length": {**DOUBTFUL, "params": {"duration": -5}},
    "a length far above the range": {**DOUBTFUL, "params": {"duration": 1e308}},
    "a length of 400 digits": {"model": "veo-3-1-lite", "params": {"duration": "9" * 400 + "s"}},
}


@pytest.mark.parametrize("name", NO_COST)
def test_a_quantity_that_the_row_does_not_take_has_no_price(prospec: Prospec, saved: Saved, name: str) -> None:
    (verdict,) = verdicts(prospec("validate", saved("a.json", NO_COST[name]), "--format", "json"))
    assert verdict["cost_usd"] is None


def test_every_line_of_json_is_json(prospec: Prospec, saved: Saved) -> None:
    """Infinity, which Python writes for a large float, is none."""

    def no_constant(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    requests = [GOOD, BAD, DOUBTFUL, UNKNOWN, {"model": "\ud800"}, {"model": "\x1b[31m\u2028"}, [], None]
    ran = prospec("validate", saved("a.ndjson", lines(*requests, "{")), "--format", "json")
    assert len(ran.stdout.splitlines()) == len(requests) + 1
    for line in ran.stdout.split("\n")[:-1]:
        json.loads(line, parse_constant=no_constant)


def test_what_is_no_json_is_one_problem_of_the_whole(prospec: Prospec, saved: Saved) -> None:
    (verdict,) = verdicts(prospec("validate", saved("a.json", "{"), "--format", "json"))
    assert (verdict["model"], verdict["mode"], verdict["cost_usd"]) == (None, None, None)
    assert [(problem["path"], problem["code"]) for problem in verdict["problems"]] == [("", "json")]


def test_strict_takes_a_warning_for_an_error(prospec: Prospec, saved: Saved) -> None:
    file = saved("a.json", DOUBTFUL)
    loose, strict = (prospec("validate", file, "--format", "json", *flag) for flag in ((), ("--strict",)))
    assert (loose.returncode, strict.returncode) == (0, 1)
    (found,), (found_strictly,) = verdicts(loose), verdicts(strict)
    assert (found["valid"], found_strictly["valid"]) == (True, False)
    assert [problem["severity"] for problem in found["problems"]] == ["warning"]
    assert [problem["severity"] for problem in found_strictly["problems"]] == ["error"]
    assert [problem["evidence"] for problem in found_strictly["problems"]] == ["inferred"]


# stdin


@pytest.mark.parametrize("arguments", [(), ("-",)])
@pytest.mark.parametrize(
    ("text", "found"),
    [
        (json.dumps(GOOD), [(1, True)]),
        (json.dumps(GOOD, indent=2), [(1, True)]),
        (json.dumps([GOOD, BAD], indent=2), [(1, True), (2, False)]),
        (lines(GOOD, BAD), [(1, True), (2, False)]),
        (lines("", GOOD, "", "{", BAD), [(2, True), (4, False), (5, False)]),
        ("{", [(1, False)]),
    ],
)
def test_stdin_is_a_document_or_lines(
    prospec: Prospec, arguments: tuple[str, ...], text: str, found: list[tuple[int, bool]]
) -> None:
    ran = prospec("validate", *arguments, "--format", "json", stdin=text.encode())
    assert [(verdict["line"], verdict["valid"]) for verdict in verdicts(ran)] == found
    assert {verdict["file"] for verdict in verdicts(ran)} == {"-"}


@pytest.mark.parametrize("text", ["", " ", "\n\n", "[]"])
def test_nothing_on_stdin_is_exit_3(prospec: Prospec, text: str) -> None:
    ran = prospec("validate", stdin=text.encode())
    assert (ran.returncode, ran.stdout) == (3, "")


# text


def test_text_is_a_line_a_problem_and_a_count_on_stderr(prospec: Prospec, saved: Saved) -> None:
    file = saved("a.ndjson", lines(GOOD, BAD, DOUBTFUL))
    ran = prospec("validate", file)
    first, second = ran.stdout.splitlines()
    assert first.startswith(f"{file}:2: error maximum /params/duration: ")
    assert second.startswith(f"{file}:3: warning media /params/image_url: ")
    assert second.endswith("[inferred]")
    assert re.fullmatch(r"3 requests, 1 invalid, 1 warnings?\n", ran.stderr)


HOSTILE_NAMES = {"a line": "a\nFORGED.json:1: error", "an escape sequence": "\x1b[31m", "a carriage return": "a\rb"}


@pytest.mark.parametrize("name", HOSTILE_NAMES)
def test_a_member_s_name_cannot_forge_a_line_or_reach_the_terminal(prospec: Prospec, saved: Saved, name: str) -> None:
    file = saved("a.json", {**GOOD, HOSTILE_NAMES[name]: 1})
    for format in ("text", "github"):
        ran = prospec("validate", file, "--format", format)
        assert len(ran.stdout.splitlines()) == 1
        assert not any(ord(character) < 32 for character in ran.stdout[:-1])


@pytest.mark.parametrize("format", ["text", "github"])
def test_a_lone_surrogate_in_a_member_s_name_is_a_finding(prospec_process: Prospec, saved: Saved, format: str) -> None:
    file = saved("a.ndjson", lines({**GOOD, "\ud800": 1}, BAD))
    ran = prospec_process("validate", file, "--format", format)
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 2


@pytest.mark.parametrize("encoding", ["ascii", "cp1252"])
def test_a_terminal_of_another_encoding_is_served_too(prospec_process: Prospec, saved: Saved, encoding: str) -> None:
    file = saved("a.json", {**GOOD, "→" * 50: 1})
    ran = prospec_process("validate", file, env={"PYTHONIOENCODING": encoding})
    assert ran.returncode == 1
    assert len(ran.stdout.splitlines()) == 1


# GitHub


def test_github_is_an_annotation_a_problem(prospec: Prospec, saved: Saved) -> None:
    file = saved("a.ndjson", lines(BAD, DOUBTFUL))
    ran = prospec("validate", file, "--format", "github")
    assert [line.split("::")[1] for line in ran.stdout.splitlines()] == [
        f"error file={file},line=1,title=maximum",
        f"warning file={file},line=2,title=media",
    ]
    assert "/params/duration" in ran.stdout


def test_github_escapes_what_would_end_a_property_or_a_command(prospec: Prospec, saved: Saved) -> None:
    file = saved("50%,a:b.json", {**GOOD, "x\n::error::y%": 1})
    ran = prospec("validate", file, "--format", "github")
    (line,) = ran.stdout.splitlines()
    _, properties, message = line.split("::", 2)
    assert properties.startswith("error file=")
    assert "50%25%2Ca%3Ab.json,line=1,title=additionalProperties" in properties
    assert "%25" in message
    assert "%" not in re.sub(r"%(25|0A|0D|3A|2C)", "", line), "each percent sign is one of ours"


@pytest.mark.parametrize("count", [1, 9, 10, 11, 25])
@pytest.mark.parametrize(("request_", "severity"), [(UNKNOWN, "error"), (DOUBTFUL, "warning")])
def test_github_prints_no_more_than_the_ten_annotations_it_shows(
    prospec: Prospec, saved: Saved, count: int, request_: dict[str, Any], severity: str
) -> None:
    ran = prospec("validate", saved("a.ndjson", lines(*[request_] * count)), "--format", "github")
    printed = ran.stdout.splitlines()
    assert len(printed) == min(count, 10)
    assert all(line.startswith(f"::{severity} ") for line in printed[:9])
    more = re.fullmatch(rf"::{severity}::and ([0-9]+) more", printed[-1])
    told = len(printed) - 1 + int(more[1]) if more else len(printed)
    assert told == count


# What GitHub's runner takes for a command, as its source has it: two forms, of which the older may stand anywhere

COMMANDS = re.compile(r"^\s*::(?P<name>[a-z-]+)[ :]|##\[(?P<older>[a-z-]+)", re.MULTILINE)
INJECTED = [
    "::error::x",
    "  ::add-mask::x",
    "##[error]x",
    "a##[add-mask]b",
    "x\n::stop-commands::y",
    "x\r\n::warning file=a::y",
    "x\r##[group]y",
    "%0A::error::x",
    "x::error::y",
    "\u2028::error::x",
]


def commands(text: str) -> list[str]:
    """The names of the commands in an output, read line by line, a CR ending a line as well."""
    return [match["name"] or match["older"] for match in COMMANDS.finditer(text.replace("\r", "\n"))]


@pytest.mark.parametrize("format", ["text", "json", "github"])
@pytest.mark.parametrize("text", INJECTED)
def test_no_text_of_a_file_is_read_as_a_workflow_command(
    prospec: Prospec, saved: Saved, format: str, text: str
) -> None:
    hostile = [
        {**BAD, text: 1},
        {**BAD, "model": text},
        {**BAD, "mode": text},
        {"model": "seedance-2-fast", "params": {"prompt": text, text: text, "resolution": text, "seed": text}},
        {"model": "gpt-image-2", "params": {"prompt": text, "image_size": {text: 1}}},
    ]
    data = "".join(json.dumps(each, ensure_ascii=False).replace("\n", "\\n") + "\n" for each in hostile)
    file = saved("a.ndjson", data.encode() + f"{text.splitlines()[0]}\n".encode())
    ran = prospec("validate", file, "--format", format)
    assert ran.returncode == 1
    assert set(commands(ran.stdout)) <= ({"error", "warning"} if format == "github" else set())
    assert all(line.startswith(("::error ", "::warning ", "::error::and")) for line in ran.stdout.splitlines()) or (
        format != "github"
    )
    assert commands(ran.stderr) == []
    assert commands(prospec("validate", text, "--format", format).stderr) == []


def test_a_name_as_long_as_the_request_is_cut_for_people_and_whole_for_programs(prospec: Prospec, saved: Saved) -> None:
    name = "k" * 100_000
    file = saved("a.ndjson", lines({**BAD, name: 1}))
    for format in ("text", "github"):
        assert all(len(line) < 600 for line in prospec("validate", file, "--format", format).stdout.splitlines())
    (told,) = map(json.loads, prospec("validate", file, "--format", "json").stdout.splitlines())
    assert f"/{name}" in {problem["path"] for problem in told["problems"]}


def test_an_annotation_on_stdin_names_no_file(prospec: Prospec) -> None:
    ran = prospec("validate", "-", "--format", "github", stdin=lines(BAD).encode())
    assert ran.stdout.startswith("::error title=maximum::/params/duration: ")


# Jobs


def test_two_jobs_print_what_one_prints(prospec: Prospec, saved: Saved) -> None:
    """More lines than two chunks, and each with its number in a message, so that no two are alike."""
    long = {**GOOD, "params": {"prompt": "x" * 300}}
    requests = [
        {**long, "model": f"nope-{number}"} if number % 3 else {**long, f"x{number}": 1} if number % 2 else long
        for number in range(3 * CHUNK_BYTES // 300)
    ]
    file = saved("a.ndjson", lines(*requests[:50], "", "{broken", *requests[50:]))
    for format in ("json", "text", "github"):
        one, two = (prospec("validate", file, "--format", format, "--jobs", jobs) for jobs in ("1", "2"))
        assert (two.returncode, two.stdout, two.stderr) == (one.returncode, one.stdout, one.stderr)
        if format == "json":
            numbers = [verdict["line"] for verdict in verdicts(two)]
            assert numbers == [number for number in range(1, len(requests) + 3) if number != 51]


# Colour

ESC = "\x1b"
COLOURS: dict[str, tuple[dict[str, str], tuple[str, ...], bool]] = {
    "not to a pipe": ({}, (), False),
    "FORCE_COLOR": ({"FORCE_COLOR": "1"}, (), True),
    "FORCE_COLOR=true": ({"FORCE_COLOR": "true"}, (), True),
    "FORCE_COLOR=0 is off": ({"FORCE_COLOR": "0"}, (), False),
    "FORCE_COLOR=false is off": ({"FORCE_COLOR": "false"}, (), False),
    "NO_COLOR before FORCE_COLOR": ({"NO_COLOR": "1", "FORCE_COLOR": "1"}, (), False),
    "an empty NO_COLOR says nothing": ({"NO_COLOR": "", "FORCE_COLOR": "1"}, (), True),
    "--color always before NO_COLOR": ({"NO_COLOR": "1"}, ("--color", "always"), True),
    "--color never before FORCE_COLOR": ({"FORCE_COLOR": "1"}, ("--color", "never"), False),
    "--color auto": ({"FORCE_COLOR": "1"}, ("--color=auto",), True),
}


@pytest.mark.parametrize("name", COLOURS)
def test_colour_follows_the_flag_then_no_color_then_force_color(prospec: Prospec, saved: Saved, name: str) -> None:
    env, flag, coloured = COLOURS[name]
    file = saved("a.json", BAD)
    for arguments in (("validate", file, *flag), (*flag, "validate", file), (*flag, "validate", file, "missing.json")):
        ran = prospec(*arguments, env=env)
        assert (ESC in ran.stdout) == (ESC in ran.stderr) == coloured
    plain = prospec("validate", file, *flag, "--format", "json", env=env)
    assert ESC not in plain.stdout, "JSON is for programs"


@pytest.mark.parametrize("name", [name for name, (env, _, coloured) in COLOURS.items() if env and not coloured])
def test_help_follows_them_too(prospec_process: Prospec, name: str) -> None:
    env, flag, _ = COLOURS[name]
    ran = prospec_process(*flag, "--help", env=env)
    assert ran.returncode == 0
    assert ESC not in ran.stdout


# As a process


def examples() -> list[str]:
    """The lines that the help leads with, but for those that need a cluster: tests/test_ray.py has one."""
    assert validate.__doc__ is not None
    _, block, _ = validate.__doc__.split("```")
    return [line.strip() for line in block.splitlines() if line.strip() and "--engine" not in line]


@pytest.mark.parametrize("line", examples())
def test_the_examples_of_the_help_run(line: str, tmp_path: Path) -> None:
    (tmp_path / "request.json").write_text(json.dumps(GOOD))
    (tmp_path / "requests.ndjson").write_text(lines(GOOD, DOUBTFUL))
    (tmp_path / "requests.ndjson.gz").write_bytes(gzip.compress(lines(GOOD, DOUBTFUL).encode()))
    path = os.pathsep.join([str(Path(sys.executable).parent), os.environ["PATH"]])
    env = {**os.environ, "PATH": path}
    ran = subprocess.run(["sh", "-c", line], cwd=tmp_path, env=env, capture_output=True, timeout=60, check=False)
    assert (ran.returncode, b"1 requests, 0 invalid" in ran.stderr or b"2 requests, 0 invalid" in ran.stderr) == (
        0,
        True,
    )


def test_the_executable_and_the_module_do_the_same(prospec_process: Prospec, saved: Saved) -> None:
    file = saved("a.json", BAD)
    module = prospec_process("validate", file)
    executable = subprocess.run(
        [str(Path(sys.executable).with_name("prospec")), "validate", file],
        capture_output=True,
        text=True,
        env={name: value for name, value in os.environ.items() if name != "FORCE_COLOR"},
        timeout=60,
        check=False,
    )
    assert (executable.returncode, executable.stdout) == (module.returncode, module.stdout)
    assert module.returncode == 1


def test_stdin_of_a_process_is_read_as_bytes(prospec_process: Prospec) -> None:
    request = {**GOOD, "params": {"prompt": "é 😀"}}
    text = json.dumps(request, ensure_ascii=False)
    ran = prospec_process("validate", "--format", "json", stdin=text.encode(), env={"PYTHONIOENCODING": "ascii"})
    assert [verdict["valid"] for verdict in verdicts(ran)] == [True]
    assert prospec_process("validate", stdin=text.encode("latin-1", "replace").replace(b"?", b"\xff")).returncode == 1


def test_jobs_work_in_a_process_of_its_own(prospec_process: Prospec, saved: Saved) -> None:
    file = saved("a.ndjson", lines(*[GOOD, BAD] * 20))
    assert prospec_process("validate", file, "--jobs", "2").stdout == prospec_process("validate", file).stdout


def into_a_closed_pipe(arguments: tuple[str, ...], env: Mapping[str, str]) -> tuple[int, str]:
    """Run with a stdout whose reader has gone, as under `| head -0`."""
    read, write = os.pipe()
    os.close(read)
    try:
        ran = subprocess.run(
            [sys.executable, "-m", "prospec", *arguments],
            stdout=write,
            stderr=subprocess.PIPE,
            env={**{name: value for name, value in os.environ.items() if name != "PYTHONUNBUFFERED"}, **env},
            timeout=60,
            check=False,
        )
    finally:
        os.close(write)
    return ran.returncode, ran.stderr.decode()


@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_a_reader_that_has_gone_is_no_traceback(saved: Saved, env: Mapping[str, str], jobs: str) -> None:
    file = saved("a.ndjson", lines(*[BAD] * 300))
    _, err = into_a_closed_pipe(("validate", file, "--jobs", jobs), env)
    assert "Traceback" not in err


@pytest.mark.parametrize("env", [{}, {"PYTHONUNBUFFERED": "1"}], ids=["buffered", "unbuffered"])
def test_a_reader_that_has_gone_is_not_our_failure(saved: Saved, env: Mapping[str, str]) -> None:
    file = saved("a.ndjson", lines(*[BAD] * 3))
    code, err = into_a_closed_pipe(("validate", file), env)
    assert code in (0, 1)
    assert "cannot be read" not in err
    assert "BrokenPipeError" not in err


def test_a_reader_of_one_line_gets_it(saved: Saved) -> None:
    file = saved("a.ndjson", lines(*[BAD] * 2_000))
    process = subprocess.Popen(
        [sys.executable, "-m", "prospec", "validate", file], stdout=subprocess.PIPE, stderr=subprocess.PIPE
    )
    assert process.stdout is not None
    assert process.stderr is not None
    first = process.stdout.readline().decode()
    process.stdout.close()
    err = process.stderr.read().decode()
    process.stderr.close()
    process.wait(timeout=60)
    assert first.startswith(f"{file}:1: error maximum")
    assert "Traceback" not in err
