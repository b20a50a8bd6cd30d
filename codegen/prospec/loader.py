"""The only reader of spec/: files in, one `Spec` out.

Each file is parsed, its shape checked by a JSON Schema of spec/schema, its meaning by `meaning` and `openapi`. Every
problem of every file is collected, and one `SpecError` raised. A spec that is trusted is spared all of that, and what
only that needs is imported there. Here live no rule that judges a request and nothing that writes into the folder.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from . import building
from .ir import Example, Spec, Vectors
from .parsed import Parsed, cache_file
from .shape import LONGEST, Finding, findings, plain, shown

if TYPE_CHECKING:
    from . import positions
    from .reading import Raw

FILES = (
    *("aliases.toml", "codes.toml", "gaps.toml", "openapi.yaml", "requirements.toml", "service.toml"),
    *("examples", "models", "schema", "vectors"),
)
"""What a spec folder holds, schema/ for editors alone: the schemas that count are those of this package."""
VECTORS = ("requests.json", "webhooks.json")
DEEPEST = 100
"""Levels of a document. No reader of it may run out of stack."""


@dataclass(frozen=True, slots=True, order=True)
class Problem:
    """One thing that is wrong with the spec."""

    file: str
    line: int
    """From 1; 0 where there is no text to point into."""
    where: str
    """The place within the document, such as modes.text.params.duration.min; empty for the whole of it."""
    message: str

    def __str__(self) -> str:
        place = f"{self.file}:{self.line}" if self.line else self.file
        return ": ".join(part for part in (place, self.where, self.message) if part)


class SpecError(Exception):
    """The spec is broken. `problems` holds everything that is wrong with it."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(problems)
        super().__init__("\n".join(str(problem) for problem in self.problems))


def spec_root() -> Path:
    """The spec folder that a wheel ships, else the checkout's."""
    here = Path(__file__).resolve().parent
    shipped = here / "_spec"
    return shipped if shipped.is_dir() else here.parents[1] / "spec"


def load(root: Path | None = None, *, trusted: bool = False) -> Spec:
    """Read a spec folder, by default the one that came with this package.

    `trusted` is for a spec that the compiler has found right before: nothing is checked again, and vectors/, which only
    the compiler passes on, is left unread. Raises SpecError with every problem found; OSError never reaches the caller.
    """
    if trusted:
        try:
            return _trusted(spec_root() if root is None else root)
        except (LookupError, TypeError, ValueError, AttributeError, OSError, RecursionError):
            pass  # it was changed since, and is told what is wrong with it
    folder = _Folder(spec_root() if root is None else root)
    raw = _read(folder)
    folder.nothing_else()
    for name, finding in _meaning(raw):
        folder.find(name, [finding])
    problems = folder.problems()
    if problems:
        raise SpecError(problems)
    return _built(raw)


def _trusted(root: Path) -> Spec:
    """The spec of a folder as it stands. Whatever a broken one raises is left to the caller."""
    folder = _TrustedFolder(root)
    spec = _built(_read(folder))
    folder.parsed.keep()
    return spec


def _read(folder: _Folder | _TrustedFolder) -> _Raw:
    return _Raw(
        service=folder.read("service.toml", "service"),
        gaps=folder.read("gaps.toml", "gaps"),
        codes=folder.read("codes.toml", "codes"),
        requirements=folder.read("requirements.toml", "requirements"),
        aliases=folder.read("aliases.toml", "aliases"),
        models={name: folder.read(name, "model") for name in folder.names("models", ".toml")},
        openapi=folder.read("openapi.yaml", "openapi"),
        examples={name: folder.read(name, None) for name in folder.names("examples", ".json")},
        vectors={kind: folder.vectors(kind) for kind in ("request", "webhook")},
    )


def _built(raw: _Raw) -> Spec:
    service = building.service(_there(raw.service))
    requirements, webhooks = _there(raw.requirements), _there(raw.vectors["webhook"])["webhooks"]
    return Spec(
        models=tuple(building.model(_there(model), service.documentation_url) for model in raw.models.values()),
        service=service,
        sections=tuple(requirements["sections"]),
        requirements=tuple(map(building.requirement, requirements["requirements"])),
        gaps=tuple(map(building.gap, _there(raw.gaps)["gaps"])),
        codes=tuple(map(building.code, _there(raw.codes)["codes"])),
        aliases=building.aliases(_there(raw.aliases)),
        examples=tuple(Example(Path(name).stem, _there(request)) for name, request in raw.examples.items()),
        vectors=Vectors(tuple(_there(raw.vectors["request"])["requests"]), tuple(webhooks)),
        openapi=_there(raw.openapi),
    )


@dataclass(frozen=True, slots=True)
class _Raw:
    """Every file as it was parsed; None for one whose shape is wrong."""

    service: Raw | None
    gaps: Raw | None
    codes: Raw | None
    requirements: Raw | None
    aliases: Raw | None
    models: Mapping[str, Raw | None]
    openapi: Raw | None
    examples: Mapping[str, Raw | None]
    vectors: Mapping[str, Raw | None]


def _there(raw: Raw | None) -> Raw:
    """A file without which loading has ended before."""
    if raw is None:
        raise AssertionError("a file that was not read has no problem")
    return raw


def _meaning(raw: _Raw) -> Iterator[tuple[str, Finding]]:
    """(file, finding) for what the files say of one another.

    What refers to a file is checked against it only where that file could be read: one mistake, one problem.
    """
    from . import meaning, openapi

    gaps = None if raw.gaps is None else [building.gap(each) for each in raw.gaps["gaps"]]
    codes = None if raw.codes is None else [building.code(each) for each in raw.codes["codes"]]
    gap_ids = None if gaps is None else {gap.id for gap in gaps}
    code_ids = None if codes is None else {code.id for code in codes}
    requirement_ids = None if raw.requirements is None else {each["id"] for each in raw.requirements["requirements"]}
    models = {name: building.model(model, "") for name, model in raw.models.items() if model is not None}
    catalog = list(models.values())
    is_whole = len(models) == len(raw.models)
    schemas = raw.openapi.get("components", {}).get("schemas", {}) if raw.openapi else {}

    found: list[tuple[str, Iterable[Finding]]] = []
    if not raw.models:
        found.append(("models", [((), "no model, expected a file <id>.toml for each")]))
    if raw.service:
        found.append(("service.toml", meaning.service(building.service(raw.service))))
    if gaps is not None:
        found.append(("gaps.toml", meaning.gaps(gaps)))
    if codes is not None:
        found.append(("codes.toml", meaning.codes(codes)))
    if raw.requirements:
        requirements = [building.requirement(each) for each in raw.requirements["requirements"]]
        found.append(("requirements.toml", meaning.requirements(raw.requirements["sections"], requirements, gap_ids)))
    for name, model in models.items():
        found.append((name, meaning.model(model, Path(name).stem, gap_ids)))
    files = {model.id: name for name, model in models.items()}
    found += [(files[id], [finding]) for id, finding in meaning.names(catalog, schemas)]
    if raw.openapi:
        found.append(("openapi.yaml", openapi.meaning(raw.openapi, gap_ids)))
    members = schemas.get(meaning.ENVELOPE, {}).get("properties", {})
    if is_whole and raw.aliases and members:
        found.append(("aliases.toml", meaning.aliases(building.aliases(raw.aliases), catalog, members)))
    if is_whole:
        examples = {name: request for name, request in raw.examples.items() if request is not None}
        found += [(name, meaning.example(request, catalog)) for name, request in examples.items()]
        found += [(name, [finding]) for name, finding in meaning.examples(examples, catalog)]
    if gap_ids is not None and requirement_ids is not None:
        texts = {"service.toml": raw.service, "gaps.toml": raw.gaps, "codes.toml": raw.codes, **raw.models}
        texts |= {"requirements.toml": raw.requirements, "openapi.yaml": raw.openapi}
        found += [(name, meaning.mentions(text, gap_ids, requirement_ids)) for name, text in texts.items()]
    for kind, vectors in raw.vectors.items():
        if vectors:
            found.append((f"vectors/{kind}s.json", meaning.vectors(f"{kind}s", vectors[f"{kind}s"], code_ids)))
    for name, findings_ in found:
        yield from ((name, finding) for finding in findings_)


class _TrustedFolder:
    """A spec folder: reads its files. OSError and ValueError are what comes of one that is broken."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.parsed = Parsed(cache_file())

    def names(self, folder: str, suffix: str) -> list[str]:
        found = (self.root / folder).glob(f"[A-Za-z0-9]*{suffix}")
        return [f"{folder}/{name}" for name in sorted(path.name for path in found)]

    def read(self, name: str, _schema: str | None) -> Raw:
        return self.parsed.value((self.root / name).read_bytes(), Path(name).suffix)

    def vectors(self, kind: str) -> Raw:
        """None: they stay unread."""
        return {f"{kind}s": []}


class _Folder:
    """A spec folder: reads its files, and collects what is wrong with each."""

    def __init__(self, root: Path) -> None:
        self.root = root
        self.found: dict[str, list[Finding]] = {}
        self._unreadable: list[Problem] = []
        self._texts: dict[str, str] = {}
        self._values: dict[str, Raw] = {}

    def names(self, folder: str, suffix: str) -> list[str]:
        """The files of one kind, in an order that does not hang on the disk's."""
        is_file = re.compile(rf"[A-Za-z0-9][A-Za-z0-9._-]*{re.escape(suffix)}").fullmatch
        return self._only(folder, is_file, f"files <id>{suffix}, the id in ASCII")

    def nothing_else(self) -> None:
        """What is there beside the files that are read would be left out without a word, so it is a problem."""
        for folder, files in (("", FILES), ("vectors", VECTORS)):
            self._only(folder, files.__contains__, ", ".join(files))

    def _only(self, folder: str, is_known: Callable[[str], object], expected: str) -> list[str]:
        """What stands in a folder and is known. Hidden files are nobody's."""
        try:
            there = sorted(path.name for path in (self.root / folder).iterdir() if not path.name.startswith("."))
        except OSError:
            return []
        for name in there:
            if not is_known(name):
                said = f"holds {shown(name)}, expected nothing but {expected}"
                self._unreadable.append(Problem(folder or ".", 0, "", said))
        return [f"{folder}/{name}" for name in there if is_known(name)]

    def vectors(self, kind: str) -> Raw | None:
        return self.read(f"vectors/{kind}s.json", f"{kind}-vectors")

    def read(self, name: str, schema: str | None) -> Raw | None:
        """The value of one file; None where something is wrong with its shape, which is then among the problems."""
        from . import meaning, openapi, reading

        try:
            # Not `read_text`, which would take every carriage return for an end of line.
            text = (self.root / name).read_bytes().decode("utf-8")
            value = reading.parse(text, Path(name).suffix)
            if reading.depth(value, DEEPEST) > DEEPEST:
                raise reading.NotReadableError(f"nested too deep, expected at most {DEEPEST} levels")
        except OSError as error:
            self._unreadable.append(Problem(name, 0, "", f"cannot be read: {error.strerror}, expected a file"))
            return None
        except UnicodeDecodeError as error:
            line = error.object.count(b"\n", 0, error.start) + 1
            self._unreadable.append(Problem(name, line, "", f"byte {error.start} is no UTF-8, expected text in UTF-8"))
            return None
        except reading.NotReadableError as error:
            self._unreadable.append(Problem(name, error.line, "", str(error)))
            return None
        self._texts[name], self._values[name] = text, value
        # The requests of examples and vectors are hostile where they have to be; what people write is not.
        strict = {".toml": reading.printable, ".yaml": openapi.json_only, ".json": reading.finite}[Path(name).suffix]
        wrong = list(strict(value, ()))
        wrong = wrong or list(findings(value, _schema(schema)) if schema else ())
        # What no schema can say of a shape is asked when the schema has found nothing.
        wrong = wrong or (list(meaning.rows(value)) if schema == "model" else [])
        self.find(name, wrong)
        return None if wrong else value

    def find(self, name: str, wrong: Iterable[Finding]) -> None:
        for finding in wrong:
            self.found.setdefault(name, []).append(finding)

    def problems(self) -> list[Problem]:
        """Everything, file by file and from the top of each to its end."""
        from . import positions

        out = list(self._unreadable)
        for name, found in self.found.items():
            text = self._texts.get(name)
            lines = {} if text is None else positions.lines_of(text, Path(name).suffix)
            for path, message in dict.fromkeys(found):
                line = 0 if text is None else positions.line_of(path, lines)
                out.append(Problem(name, line, _where(path, self._values.get(name)), message))
        return sorted(out)


def _where(path: positions.Path, value: Any) -> str:
    """modes.text.params.duration: a member of a list goes by its id where it has one."""
    parts = []
    for key in path:
        inner: Any = None
        if isinstance(value, Mapping):
            inner = value.get(key)
        elif isinstance(value, list) and isinstance(key, int) and key < len(value):
            inner = value[key]
        if isinstance(key, str):
            parts.append(key if key.isprintable() and 0 < len(key) <= LONGEST else shown(key))
        else:
            id = inner.get("id") if isinstance(inner, Mapping) else None
            is_name = isinstance(id, str) and id.isprintable() and 0 < len(id) <= LONGEST
            parts.append(str(id) if is_name else f"[{key}]")
        value = inner
    return plain(".".join(parts).replace(".[", "["))


def _schema(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((spec_root() / "schema" / f"{name}.json").read_text("utf-8"))
    return found
