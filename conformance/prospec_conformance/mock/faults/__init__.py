"""Ways of breaking the API's promises, one promise at a time: what the conformance suite must notice.

Every requirement that the suite checks has at least one. A fault is written as a change at one of the seams of
changes.py, and is named after the requirement that it breaks. Here lives the registry; what the documentation leaves
open is a variant.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from . import auth, balance, errors, generation, lifecycle, params, rate, uploads, webhooks
from .fault import Fault

__all__ = ["FAULTS", "Fault"]

_ALL = (
    *auth.faults(),
    *generation.faults(),
    *params.faults(),
    *errors.faults(),
    *lifecycle.faults(),
    *balance.faults(),
    *rate.faults(),
    *uploads.faults(),
    *webhooks.faults(),
)

FAULTS: Mapping[str, Fault] = MappingProxyType({fault.id: fault for fault in _ALL})
