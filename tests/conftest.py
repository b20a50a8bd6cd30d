"""What several test modules share: the real spec, two ways to run the command line, and a browser."""

from __future__ import annotations

import io
import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from subprocess import CompletedProcess
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, settings
from machine import lacking
from prospec.ir import Spec
from prospec.loader import load

if TYPE_CHECKING:
    from playwright.sync_api import Browser

# Slow is not wrong: a machine with other work to do must not fail a property.
settings.register_profile("patient", deadline=None, suppress_health_check=[HealthCheck.too_slow])
settings.load_profile("patient")


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """Half again as many as there are processors: a third of the time tests wait, for a server, a browser, a clock."""
    return (os.cpu_count() or 1) * 3 // 2


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


@pytest.fixture(scope="session")
def tool() -> Callable[..., str]:
    """The path of a program, by the first of its names that is there. Without it: a skip, in CI a failure."""

    def find(*names: str) -> str:
        for name in names:
            if path := shutil.which(name):
                return path
        return lacking(f"{names[0]} is not installed")

    return find


@pytest.fixture(scope="module")
def launch(tool: Callable[..., str]) -> Iterator[Callable[[str], Browser]]:
    """Start the system's Chromium, with a profile of its own. All but 127.0.0.1 it asks the proxy of the URL for.

    One playwright starts all of a module: a thread cannot have two, and while it has one no asyncio of its own.
    """
    from playwright.sync_api import sync_playwright

    chromium = tool("chromium", "chromium-browser", "google-chrome")
    flags = ["gpu", "quic", "background-networking", "component-update", "sync"]
    with sync_playwright() as playwright:
        yield lambda proxy_url: playwright.chromium.launch(
            executable_path=chromium,
            args=["--no-sandbox", "--no-first-run", *(f"--disable-{flag}" for flag in flags)],
            proxy={"server": proxy_url, "bypass": "127.0.0.1"},
        )
