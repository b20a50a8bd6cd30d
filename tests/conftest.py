"""What several test modules share: the real spec, and two ways to run the command line."""

from __future__ import annotations

import io
import os
import subprocess
import sys
from collections.abc import Callable, Mapping
from subprocess import CompletedProcess

import pytest
from hypothesis import HealthCheck, settings
from prospec.ir import Spec
from prospec.loader import load

# Slow is not wrong: a machine with other work to do must not fail a property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")

Run = Callable[..., CompletedProcess[str]]
QUIET = {
    name: value
    for name, value in os.environ.items()
    if name not in ("NO_COLOR", "FORCE_COLOR", "PYTHONUNBUFFERED", "PYTHONIOENCODING", "COLUMNS")
    and not name.startswith("PROSPOLABS_")
}
"""The environment without what would change the output."""


@pytest.fixture(scope="session")
def spec() -> Spec:
    return load()


@pytest.fixture
def prospec(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Run:
    """Run one command in this process. What the captured streams cannot show needs `prospec_process`."""
    from prospec.cli import main

    def run(*arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        for name in os.environ.keys() - QUIET.keys():
            monkeypatch.delenv(name)
        for name, value in (env or {}).items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr(sys, "stdin", io.TextIOWrapper(io.BytesIO(stdin), encoding="utf-8"))
        capsys.readouterr()
        code = main(list(arguments))
        out, err = capsys.readouterr()
        return CompletedProcess(arguments, code, out, err)

    return run


@pytest.fixture(scope="session")
def prospec_process() -> Run:
    """Run one command in a process of its own, as a shell does."""

    def run(*arguments: str, stdin: bytes = b"", env: Mapping[str, str] | None = None) -> CompletedProcess[str]:
        command = [sys.executable, "-m", "prospec", *arguments]
        environment = {**QUIET, **(env or {})}
        ran = subprocess.run(command, input=stdin, capture_output=True, env=environment, timeout=60, check=False)
        out, err = (stream.decode("utf-8", "backslashreplace") for stream in (ran.stdout, ran.stderr))
        return CompletedProcess(arguments, ran.returncode, out, err)

    return run
