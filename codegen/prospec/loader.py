"""The only reader of spec/: files in, one `Spec` out.

Each file is parsed, its shape checked by a JSON Schema of spec/schema, its meaning by `meaning` and `openapi`. Every
problem of every file is collected, and one `SpecError` raised. Here live no rule that judges a request and nothing
that writes.
"""

from __future__ import annotations

import json
import math
import tomllib
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from . import building, meaning, openapi, positions
from .ir import Example, Spec, Vectors
from .shape import Finding, findings, shown

Raw = dict[str, Any]


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


def load(root: Path | None = None, *, vectors: bool = True) -> Spec:
    """Read a spec folder, by default the one that came with this package.

    `vectors` False leaves vectors/ unread, which only the compiler passes on. Raises SpecError with every problem
    found; OSError never reaches the caller.
    """
    folder = _Folder(spec_root() if root is None else root)
    raw = _Raw(
        service=folder.read("service.toml", "service"),
        gaps=folder.read("gaps.toml", "gaps"),
        codes=folder.read("codes.toml", "codes"),
        requirements=folder.read("requirements.toml", "requirements"),
        aliases=folder.read("aliases.toml", "aliases"),
        models={name: folder.read(name, "model", meaning.rows) for name in folder.names("models", ".toml")},
        openapi=folder.read("openapi.yaml", "openapi"),
        examples={name: folder.read(name, None) for name in folder.names("examples", ".json")},
        vectors={
            kind: folder.read(f"vectors/{kind}s.json", f"{kind}-vectors") if vectors else {f"{kind}s": []}
            for kind in ("request", "webhook")
        },
    )
    for name, finding in _meaning(raw):
        folder.find(name, [finding])
    problems = folder.problems()
    if problems:
        raise SpecError(problems)
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
    gaps = None if raw.gaps is None else [building.gap(each) for each in raw.gaps["gaps"]]
    codes = None if raw.codes is None else [building.code(each) for each in raw.codes["codes"]]
    gap_ids = None if gaps is None else {gap.id for gap in gaps}
    code_ids = None if codes is None else {code.id for code in codes}
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
    if is_whole and raw.aliases and raw.openapi:
        members = schemas.get(meaning.ENVELOPE, {}).get("properties", {})
        found.append(("aliases.toml", meaning.aliases(building.aliases(raw.aliases), catalog, members)))
    if is_whole:
        found += [(name, meaning.example(request, catalog)) for name, request in raw.examples.items() if request]
    for kind, vectors in raw.vectors.items():
        if vectors:
            found.append((f"vectors/{kind}s.json", meaning.vectors(f"{kind}s", vectors[f"{kind}s"], code_ids)))
    for name, findings_ in found:
        yield from ((name, finding) for finding in findings_)


class _NotReadableError(Exception):
    """A file that cannot be parsed. `line` is 0 where the parser does not say one."""

    def __init__(self, message: str, line: int = 0) -> None:
        super().__init__(message)
        self.line = line


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
        return sorted(f"{folder}/{path.name}" for path in (self.root / folder).glob(f"*{suffix}"))

    def read(
        self, name: str, schema: str | None, check: Callable[[Raw], Iterator[Finding]] = lambda raw: iter(())
    ) -> Raw | None:
        """The value of one file; None where something is wrong with its shape, which is then among the problems.

        `check` is for what a schema cannot say of the shape, and is asked when the schema has found nothing.
        """
        parse = {".toml": _toml, ".json": _json, ".yaml": _yaml}[Path(name).suffix]
        try:
            text = (self.root / name).read_text(encoding="utf-8")
            value = parse(text)
        except OSError as error:
            self._unreadable.append(Problem(name, 0, "", f"cannot be read: {error.strerror}, expected a file"))
            return None
        except UnicodeDecodeError as error:
            self._unreadable.append(Problem(name, 0, "", f"byte {error.start} is no UTF-8, expected text in UTF-8"))
            return None
        except _NotReadableError as error:
            self._unreadable.append(Problem(name, error.line, "", str(error)))
            return None
        self._texts[name], self._values[name] = text, value
        # The requests of examples and vectors are hostile where they have to be; what people write is not.
        strict = {".toml": _printable, ".yaml": openapi.json_only}.get(Path(name).suffix)
        wrong = list(strict(value, ())) if strict else []
        wrong = wrong or list(findings(value, _schema(schema)) if schema else ())
        wrong = wrong or list(check(value))
        self.find(name, wrong)
        return None if wrong else value

    def find(self, name: str, wrong: Iterable[Finding]) -> None:
        for finding in wrong:
            self.found.setdefault(name, []).append(finding)

    def problems(self) -> list[Problem]:
        """Everything, file by file and from the top of each to its end."""
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
            parts.append(key if key.isprintable() and key else shown(key))
        else:
            id = inner.get("id") if isinstance(inner, Mapping) else None
            parts.append(id if isinstance(id, str) and id and id.isprintable() else f"[{key}]")
        value = inner
    return ".".join(parts).replace(".[", "[")


def _schema(name: str) -> Mapping[str, Any]:
    found: Mapping[str, Any] = json.loads((spec_root() / "schema" / f"{name}.json").read_text("utf-8"))
    return found


def _toml(text: str) -> Raw:
    try:
        return tomllib.loads(text)
    except tomllib.TOMLDecodeError as error:
        said, _, place = str(error).partition(" (at ")
        line = place.removeprefix("line ").partition(",")[0]
        last = text.count("\n") + 1
        raise _NotReadableError(f"{said}, expected TOML", int(line) if line.isdigit() else last) from None
    except RecursionError:
        raise _NotReadableError("nested too deep, expected TOML") from None


def _json(text: str) -> Raw:
    try:
        value = json.loads(text, object_pairs_hook=_each_once)
    except json.JSONDecodeError as error:
        raise _NotReadableError(f"{error.msg}, expected JSON", error.lineno) from None
    except ValueError as error:
        raise _NotReadableError(f"{error}, expected JSON") from None
    except RecursionError:
        raise _NotReadableError("nested too deep, expected JSON") from None
    if not isinstance(value, dict):
        raise _NotReadableError(f"is {shown(value)}, expected a JSON object", 1)
    return value


def _each_once(members: list[tuple[str, Any]]) -> Raw:
    """The last of two equal keys would win, and the first be dropped without a word."""
    made: Raw = {}
    for key, value in members:
        if key in made:
            raise ValueError(f"the key {shown(key)} stands twice")
        made[key] = value
    return made


def _yaml(text: str) -> Raw:
    """YAML 1.2, so that 16:9 stays text; the last of two equal keys is refused, not taken."""
    from ruamel.yaml import YAML
    from ruamel.yaml.composer import Composer
    from ruamel.yaml.error import MarkedYAMLError, YAMLError
    from ruamel.yaml.events import AliasEvent

    class Plain(Composer):
        """Without aliases: a few of them make a document that never ends."""

        def compose_node(self, parent: Any, index: Any) -> Any:
            if self.parser.check_event(AliasEvent):
                line = self.parser.peek_event().start_mark.line + 1
                raise _NotReadableError("an alias, expected the thing itself", line)
            return super().compose_node(parent, index)

    reader = YAML(typ="safe", pure=True)
    reader.Composer = Plain
    try:
        value = reader.load(text)
    except MarkedYAMLError as error:
        said = str(error.problem).partition("\n")[0]
        line = error.problem_mark.line + 1 if error.problem_mark else 0
        raise _NotReadableError(f"{said}, expected YAML 1.2", line) from None
    except (YAMLError, ValueError) as error:
        said = str(error).partition("\n")[0]
        raise _NotReadableError(f"{said}, expected YAML 1.2") from None
    except RecursionError:
        raise _NotReadableError("nested too deep, expected YAML 1.2") from None
    if not isinstance(value, dict):
        raise _NotReadableError(f"is {shown(value)}, expected a mapping", 1)
    return value


def _printable(value: object, path: positions.Path) -> Iterator[Finding]:
    """Text that no editor shows as it is (controls, bidi marks) has no place in the spec nor in its output."""
    match value:
        case dict():
            for key, item in value.items():
                if not key.isprintable():
                    yield path, f"the key {shown(key)}, expected text without unprintable characters"
                yield from _printable(item, (*path, key))
        case list():
            for index, item in enumerate(value):
                yield from _printable(item, (*path, index))
        case str() if not value.isprintable():
            yield path, f"is {shown(value)}, expected text without unprintable characters"
        case float() if not math.isfinite(value):
            yield path, f"is {value}, expected a finite number"
        case _:
            pass
