"""A reference implementation of the API, to be served on loopback: `serve` in a thread, `run` until a signal.

Here live only the names that others may import. Importing them loads no web framework; serving does.
"""

from __future__ import annotations

from .config import MockConfig
from .faults import FAULTS, Fault
from .server import ENVIRONMENT, Running, run, serve
from .variants import VARIANTS, Variant

__all__ = ["ENVIRONMENT", "FAULTS", "VARIANTS", "Fault", "MockConfig", "Running", "Variant", "run", "serve"]
