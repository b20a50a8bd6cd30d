"""A reference implementation of the API: `serve` on loopback in a thread, `run` until a signal, `create_app` for ASGI.

Here live only the names that others may import. Importing them loads no web framework; serving does.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from .config import MockConfig
from .faults import FAULTS, Fault
from .server import ENVIRONMENT, Running, run, serve
from .variants import VARIANTS, Variant

if TYPE_CHECKING:
    from .app import create_app

__all__ = [
    "ENVIRONMENT",
    "FAULTS",
    "VARIANTS",
    "Fault",
    "MockConfig",
    "Running",
    "Variant",
    "create_app",
    "run",
    "serve",
]


def __getattr__(name: str) -> Any:
    if name == "create_app":
        from .app import create_app

        return create_app
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
