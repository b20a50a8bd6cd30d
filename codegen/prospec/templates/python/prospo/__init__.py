"""prospo: checks requests for the Prospolabs API before they are sent and paid for.

Needs the standard library only. Here live only the names that other programs may import.
"""

from .problem import Problem
from .rules import is_valid, is_valid_json, validate, validate_json

__all__ = ["Problem", "is_valid", "is_valid_json", "validate", "validate_json"]
