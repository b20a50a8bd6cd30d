"""prospec: from a declarative spec of a generative-media API to validators, bindings, a mock and a conformance suite.

Here live only the names that other programs may import; importing this package loads nothing else.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .ir import Spec
    from .loader import SpecError, load

__all__ = ["Spec", "SpecError", "load"]
__version__ = "0.1.0"


def __getattr__(name: str) -> object:
    if name in ("load", "SpecError"):
        from . import loader

        return getattr(loader, name)
    if name == "Spec":
        from .ir import Spec

        return Spec
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
