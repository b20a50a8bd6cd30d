"""The targets: a function each, from a spec to its files. This is the one list of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping

from ..emit import Files
from ..ir import Spec
from . import json, pydantic, python, typescript

TARGETS: Mapping[str, Callable[[Spec], Files]] = {
    "json": json.emit,
    "python": python.emit,
    "typescript": typescript.emit,
}
"""What `codegen` makes when no target is named, and what is committed."""
OPTIONAL: Mapping[str, Callable[[Spec], Files]] = {"pydantic": pydantic.emit}
"""What it makes only when it is named."""
