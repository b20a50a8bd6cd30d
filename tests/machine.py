"""What a test needs of the machine beyond Python. Here live no tests."""

from __future__ import annotations

import os
from typing import NoReturn

import pytest


def lacking(reason: str) -> NoReturn:
    """A user may lack a tool, and then a test is skipped by name; CI may not, and there it fails."""
    if os.environ.get("CI"):
        pytest.fail(f"{reason}, and CI needs it")
    pytest.skip(reason)
