"""prospo: checks requests for the Prospolabs API before they are sent and paid for.

Needs the standard library only. Here live only the names that other programs may import.
"""

from .price import Quote, quote
from .problem import InvalidRequest, Problem
from .rules import is_valid, is_valid_json, validate, validate_json

__all__ = ["InvalidRequest", "Problem", "Quote", "is_valid", "is_valid_json", "quote", "validate", "validate_json"]
