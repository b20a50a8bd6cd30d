"""What type checkers say: nothing of a program that uses the whole client, one exact line of each mistake.

The programs are in tests/typing and docs/examples/webhooks. A mistake of theirs is told by the mypy and the pyright of
every user in strict mode.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path

import pytest
from machine import lacking
from prospec_conformance.mock import MockConfig, serve

PROGRAMS = Path(__file__).parent / "typing"
USES, EVENTS, MISTAKES = PROGRAMS / "uses.py", PROGRAMS / "events.py", PROGRAMS / "mistakes.py"
EXAMPLES = Path(__file__).parents[1] / "docs" / "examples" / "webhooks"
TYPED = ("fastapi", "flask", "stdlib")
"""The examples whose framework has types; Django has none of its own."""
RATIOS = "'16:9', '9:16', '1:1', '4:3', '3:4', '21:9'"
MYPY = {
    'aspect_ratio="16x9"': 'Argument "aspect_ratio" to "text" of "Seedance2Fast" has incompatible type '
    f'"Literal[\'16x9\']"; expected "Literal[{RATIOS}]"',
    "durration=6": 'Unexpected keyword argument "durration" for "text" of "Seedance2Fast"; did you mean "duration"?',
    "text(duration=6)": 'Missing named argument "prompt" for "text" of "Seedance2Fast"',
    'duration="6"': 'Argument "duration" to "text" of "Seedance2Fast" has incompatible type "str"; expected "float"',
    "image_url": 'Unexpected keyword argument "image_url" for "text" of "Seedance2Fast"',
    "duration=8": 'Argument "duration" to "text" of "Veo31Lite" has incompatible type "Literal[8]"; expected '
    "\"Literal['4s', '6s', '8s']\"",
    "texts": '"Seedance2Fast" has no attribute "texts"; maybe "text"?',
    "seedance_9": '"Client" has no attribute "seedance_9"',
    "max_costs_usd": 'Unexpected keyword argument "max_costs_usd" for "with_options" of "AnyClient"; did you mean '
    '"max_cost_usd"?',
    "timeout=5": 'Unexpected keyword argument "timeout" for "generate" of "Client"; did you mean "timeout_s"?',
    'generate("kling-o3"': 'Too many positional arguments for "generate" of "Client"',
    "event.output_url": '"Event" has no attribute "output_url"',
    "event.key =": 'Property "key" defined in "Event" is read-only',
}
"""A part of the line -> the one error of it."""
PYRIGHT = {
    'aspect_ratio="16x9"': 'Argument of type "Literal[\'16x9\']" cannot be assigned to parameter "aspect_ratio" of '
    f'type "Literal[{RATIOS}]" in function "text"',
    "durration=6": 'No parameter named "durration"',
    "text(duration=6)": 'Argument missing for parameter "prompt"',
    'duration="6"': 'Argument of type "Literal[\'6\']" cannot be assigned to parameter "duration" of type '
    '"float" in function "text"',
    "image_url": 'No parameter named "image_url"',
    "duration=8": 'Argument of type "Literal[8]" cannot be assigned to parameter "duration" of type '
    "\"Literal['4s', '6s', '8s']\" in function \"text\"",
    "texts": 'Cannot access attribute "texts" for class "Seedance2Fast"',
    "seedance_9": 'Cannot access attribute "seedance_9" for class "Client"',
    "max_costs_usd": 'No parameter named "max_costs_usd"',
    "timeout=5": 'No parameter named "timeout"',
    'generate("kling-o3"': "Expected 0 positional arguments",
    "event.output_url": 'Cannot access attribute "output_url" for class "Event"',
    "event.key =": 'Cannot assign to attribute "key" for class "Event"',
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A user's project, away from the settings of this one."""
    folder = tmp_path_factory.mktemp("user")
    for program in (USES, EVENTS, MISTAKES):
        shutil.copy(program, folder)
    for name in TYPED:
        if not find_spec(name) and name != "stdlib":
            lacking(f"{name} is not installed")
        shutil.copy(EXAMPLES / name / "receiver.py", folder / f"{name}_receiver.py")
    (folder / "pyrightconfig.json").write_text(json.dumps({"typeCheckingMode": "strict", "pythonVersion": "3.11"}))
    return folder


def tool(name: str) -> list[str]:
    path = Path(sys.executable).parent / name
    return [str(path)] if path.exists() else [lacking(f"{name} is not installed")]


def mypy(folder: Path) -> Iterator[tuple[str, int, str]]:
    cache = folder / ".cache"
    programs = sorted(path.name for path in folder.glob("*.py"))
    command = [*tool("mypy"), "--config-file=", "--strict", "--cache-dir", str(cache), *programs]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    assert "mistakes.py" in ran.stdout, ran.stdout + ran.stderr
    for file, line, message in re.findall(r"^(\S+?):(\d+): error: (.*?)  \[", ran.stdout, re.MULTILINE):
        yield file, int(line), message


def pyright(folder: Path) -> Iterator[tuple[str, int, str]]:
    command = [*tool("pyright"), "--outputjson", "--pythonpath", sys.executable, "--project", str(folder)]
    ran = subprocess.run(command, cwd=folder, capture_output=True, text=True, timeout=300, check=False)
    for found in json.loads(ran.stdout)["generalDiagnostics"]:
        # A message of several lines is one finding; the first says what is wrong, the rest why.
        yield Path(found["file"]).name, found["range"]["start"]["line"] + 1, found["message"].splitlines()[0]


Checker = Callable[[Path], Iterator[tuple[str, int, str]]]


@pytest.mark.parametrize(("checker", "messages"), [(mypy, MYPY), (pyright, PYRIGHT)], ids=["mypy", "pyright"])
def test_each_mistake_is_one_line_and_the_program_is_clean(
    checker: Checker, messages: dict[str, str], folder: Path
) -> None:
    found = list(checker(folder))
    lines = MISTAKES.read_text("utf-8").splitlines()
    expected = [
        ("mistakes.py", number, message)
        for number, line in enumerate(lines, 1)
        for part, message in messages.items()
        if part in line and line.startswith(("client.", "event."))
    ]
    assert found == expected
    assert len(found) == len(messages) == sum(line.startswith(("client.", "event.")) for line in lines)


def test_the_handler_of_events_runs() -> None:
    events = [f'{{"event": "generation.{each}", "generation_id": "gen_1"}}' for each in ("completed", "failed", "new")]
    lines = "\n".join([*events, events[1], "{}"])
    ran = subprocess.run([sys.executable, str(EVENTS)], input=lines, capture_output=True, text=True, check=True)
    assert ran.stdout.splitlines() == ["completed None", "failed gen_1", "generation.new", "again", "payload"]


def test_the_program_runs_on_the_mock(tmp_path: Path) -> None:
    with serve(MockConfig(api_key="prsp-local")) as mock:
        environment = {**os.environ, "PROSPOLABS_API_KEY": "prsp-local", "PROSPOLABS_BASE_URL": mock.base_url}
        command = [sys.executable, "-W", "error", str(USES), str(tmp_path)]
        ran = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=120, check=False)
    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.splitlines() == [
        "completed",
        "completed",
        "completed",
        "error",
        "True True 0.630",
        "403 insufficient_balance True",
        "['/params/prompt']",
    ]
