"""Numbers beyond the range of a double, in the npm package: wherever they stand, what holds them is no JSON.

JSON.parse lets them pass, and where a later member overwrites one, or no documented rule looks at it, nobody but the
look at the text can tell. What else the package says of bodies is in test_typescript.py.
"""

from __future__ import annotations

from itertools import product

import prospo
from test_typescript import disagreements

NUMBERS = ("1e308", "1e309", "-1e309", "1.5E+400", "10e00309", "0e400", "1e-400", f"1e{'9' * 50}", "12e300", "1e00005")
BEHIND = ("", " ", "\n", "\r", "\t", "  \n")
PLACES = (
    '{"model": "kling-o3", "mode": "text", "params": {"prompt": "x", "duration": NUMBER, "duration": 5}}',
    '{"model": "kling-o3", "mode": "text", "params": {"prompt": "x", "duration": 5}, "async": NUMBER, "async": true}',
    '{"model": "seedance-2-fast", "mode": "image", "params": {"prompt": NUMBER}}',
    '{"model": "seedance-2-fast", "mode": "image", "params": {"prompt": [NUMBER]}}',
    '{"model": "seedance-2-fast", "mode": "image", "params": {"prompt": [NUMBER, 1], "seed": {"a": NUMBER}}}',
    # In a string they are none.
    '{"model": "kling-o3", "mode": "text", "params": {"prompt": "NUMBER, [NUMBER] and NUMBER"}}',
)


def test_wherever_a_number_stands_it_is_judged_as_python_judges_it() -> None:
    bodies = [
        place.replace("NUMBER", number + behind).encode() for place, number, behind in product(PLACES, NUMBERS, BEHIND)
    ]
    assert list(disagreements(bodies)) == []
    verdicts = [prospo.is_valid_json(body) for body in bodies]
    assert any(verdicts)
    assert not all(verdicts)
