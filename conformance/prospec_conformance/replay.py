"""One finding of an earlier run again: which one, and how that run was made. Here live no requests and no verdicts."""

from __future__ import annotations

import dataclasses
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from prospec.shape import plain, shown

if TYPE_CHECKING:
    from prospec.ir import Spec

    from .run import Options

REPORT = "report.json"
_ID = re.compile(r"(?P<requirement>[A-Z]+-[0-9]{2})-[0-9a-f]{8}")


def replayed(options: Options, id: str, folder: Path | None, spec: Spec) -> Options:
    """What to run for one finding. Its name alone says which check that is; a report in `folder` says with which seed,
    unless the options have one. Raises ValueError."""
    match = _ID.fullmatch(id)
    if match is None or match["requirement"] not in {each.id for each in spec.requirements}:
        raise ValueError(f"{shown(id)} is no finding, expected an id of report.json such as PARAM-05-0123abcd")
    path = None if folder is None else folder / REPORT
    made = _options(path, id) if path is not None and path.exists() else {}
    if options.seed is not None:
        made.pop("seed", None)
    return dataclasses.replace(options, **made, areas=None, models=None, replay=id, confirms=False)


def _options(path: Path, id: str) -> dict[str, Any]:
    """How the run of a report was made. Raises ValueError where it does not have the finding."""
    file = plain(str(path))
    try:
        report = json.loads(path.read_bytes())
        ids = {verdict["id"] for requirement in report["requirements"] for verdict in requirement["verdicts"]}
        made = {"seed": int(report["seed"]), "examples": int(report["examples"])}
    except OSError as error:
        raise ValueError(f"{file}: cannot be read: {error.strerror}") from None
    except (ValueError, LookupError, TypeError, RecursionError):
        raise ValueError(f"{file}: is no report of a run, expected what --report-dir wrote") from None
    if id not in ids:
        raise ValueError(f"{file}: has no finding {id}")
    return made
