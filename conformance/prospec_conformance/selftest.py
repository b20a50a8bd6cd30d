"""The test of the suite: under a fault of the mock it must find that one and nothing else, under a variant nothing.

Each run is one on an embedded mock of its own, in one of several processes. Here live no faults and no checks.
"""

from __future__ import annotations

import gc
import json
import logging
import multiprocessing
import signal
import time
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from concurrent.futures import ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

from prospec.ir import Level, Spec
from prospec.schema import request_schema

from .implementation import Target
from .mock import FAULTS, VARIANTS, Fault, MockConfig, Variant, serve
from .mock.changes import VIOLATION_HEADER, Answer, Change, seams
from .mock.judge import KEYWORDS, REASONS
from .mock.refusals import envelope
from .outcome import Outcome
from .probe import documented_modes
from .run import Options, run

SEED = 1
EXAMPLES = 10
"""Random requests a mode, where they are needed."""
EXAMPLES_OF_A_VARIANT = 3
"""The same under a variant that judges otherwise, which every request of a mode meets alike."""
RANDOM = frozenset({"PARAM-14", "PARAM-15", "ERR-06"})
"""Requirements that the random requests prove. For any other fault none are sent: they would be half of the time."""
LARGE = frozenset(f"UPLOAD-{number}" for number in range(13, 19))
"""Requirements that files as large as allowed prove. For any other fault none are sent, likewise."""
SIZING = frozenset({"max_bytes", "takes"})
"""The seams at which it is decided whether such a file is taken."""
ROWS = "PARAM"
"""The area that probes every row of the catalog, half of the requests. What leaves `JUDGING` alone cannot touch it, and
is spared it, unless it gives answers another status."""
JUDGING = frozenset({"request", "schema", "strict", "refusal"})
"""The seams at which a fault changes how a request is read and judged. Of an answer, its rows read the status alone."""
TOLD = "HOOK"
"""The area of what receivers are told. What changes `TELLING` alone gives no answer another byte, so no other area can
see it."""
TELLING = frozenset({"message", "ends_delivery"})
BAD: frozenset[Outcome] = frozenset({"failed", "warned", "error"})
_ALLOCATIONS = 50_000
"""Objects made between two looks for garbage: a worker is short-lived, and looking took a tenth of its time."""


@dataclass(frozen=True, slots=True)
class Proof:
    """What the suite found under one fault or variant."""

    id: str
    found: Mapping[str, Outcome]
    """The requirements that did not come out well."""
    problems: tuple[str, ...]
    """What is not as it has to be; none for a proof."""
    requests: int = 0
    seconds: float = 0.0


def unproven(spec: Spec, areas: Collection[str] | None = None) -> dict[str, str]:
    """The requirements that no fault breaks, and why."""
    proven = {fault.requirement for fault in FAULTS.values()}
    return {
        each.id: each.unverifiable or "no fault of the mock breaks it yet"
        for each in spec.requirements
        if each.id not in proven and (areas is None or each.area in areas)
    }


def chosen(spec: Spec, areas: Collection[str] | None = None) -> list[str]:
    """The faults that break a requirement of those areas; without areas all of them, and the variants."""
    if areas is None:
        return [*FAULTS, *VARIANTS]
    return [id for id, fault in FAULTS.items() if spec.requirement(fault.requirement).area in areas]


def prove(spec: Spec, id: str, examples: int | None = None, *, thorough: bool = False) -> Proof:
    """Run the suite under a fault or a variant; the whole of it if `thorough`, else what the fault can show in.

    `examples` is what it takes by itself for None.
    """
    fault, started = FAULTS.get(id), time.monotonic()
    # As `prospec conformance run` embeds it.
    config = MockConfig(
        rate_limit=spec.service.requests_per_minute,
        faults=frozenset({id} & FAULTS.keys()),
        variants=frozenset({id} & VARIANTS.keys()),
    )
    options = Options(seed=SEED, examples=EXAMPLES) if thorough else _options(spec, fault or VARIANTS[id])
    if examples is not None:
        options = replace(options, examples=examples)
    try:
        with serve(config, spec) as server:
            keys = (config.api_key, config.second_api_key, config.webhook_secret, config.control_token)
            target = Target(server.base_url, *keys, is_mock=True)
            report = run(spec, target, options, say=lambda line: None)
    except Exception as error:
        # Whatever it is, it is no proof, and the other runs go on.
        return Proof(id, {}, (f"the suite broke: {type(error).__name__}: {error}",))
    bad = [each for each in report.summed if each.is_checked and each.outcome in BAD]
    found: dict[str, Outcome] = {each.requirement.id: each.outcome for each in bad}
    wrong = [] if report.complete else ["the run was not finished"]
    wrong += _wrong(spec, fault, found)
    return Proof(id, found, tuple(wrong), report.requests, time.monotonic() - started)


def _options(spec: Spec, entry: Fault | Variant) -> Options:
    """What a run takes under that fault or variant: everything in which it can show."""
    touched = seams(entry.change)
    related = {entry.requirement, *entry.also} if isinstance(entry, Fault) else set()
    broken = frozenset(spec.requirement(id).area for id in related)
    every = frozenset(each.area for each in spec.requirements)
    probes_rows = ROWS in broken or bool(touched & JUDGING) or _restates(entry.change)
    if isinstance(entry, Fault):
        examples = EXAMPLES if RANDOM & related else 0
    else:
        examples = EXAMPLES_OF_A_VARIANT if probes_rows else 0
    return Options(
        areas=broken | {TOLD} if touched <= TELLING else every if probes_rows else every - {ROWS},
        models=_edited(spec, entry.change) if broken == {ROWS} else None,
        examples=examples,
        seed=SEED,
        sends_large=bool(touched & SIZING or LARGE & related),
    )


def _edited(spec: Spec, change: Change) -> frozenset[str] | None:
    """The models of which a fault edits the schema, where it does nothing else; None for all.

    The requests of any other model are then judged by the very schema that they are judged by without a fault.
    """
    if seams(change) != {"schema"}:
        return None
    edited = set()
    for model, mode in documented_modes(spec):
        schema = request_schema(spec, model, mode, strict=False)
        before = json.dumps(schema)
        change.schema(model, mode, schema)
        if json.dumps(schema) != before:
            edited.add(model.id)
    return frozenset(edited) or None


def _restates(change: Change) -> bool:
    """Whether a generate request gets another status, be it accepted or refused for one of its params."""
    memory: dict[str, Any] = {}

    def keeps(status: int, body: object, headers: Mapping[str, str]) -> bool:
        answer = Answer("generate", status, body, headers, time.time(), memory, "first")
        return change.answer(answer).status == status

    accepted = {
        "generation_id": "gen_0123456789abcdef",
        "status": "completed",
        "model": "kling-o3",
        "mode": "text",
        "output_url": "https://example.com/a.mp4",
        "cost_usd": 0.4,
        "duration_ms": 28430,
    }
    return not all(
        keeps(200, accepted, {}) and keeps(400, envelope(400, "no"), {VIOLATION_HEADER: f"{code} /params/prompt"})
        for code in {KEYWORDS.get(keyword, keyword) for keyword in REASONS}
    )


def _wrong(spec: Spec, fault: Fault | None, found: Mapping[str, Outcome]) -> Iterator[str]:
    """How that differs from what has to be found."""
    if fault is None:
        yield from (f"{id} {outcome}" for id, outcome in found.items() if outcome != "warned")
        return
    meant = outcome_meant(spec, fault)
    if found.get(fault.requirement) != meant:
        yield f"{fault.requirement} has to be {meant} and is {found.get(fault.requirement, 'not')}"
    related = {fault.requirement, *fault.also}
    yield from (f"{id} {outcome}" for id, outcome in found.items() if outcome == "error" or id not in related)


def outcome_meant(spec: Spec, fault: Fault) -> Outcome:
    """What its requirement has to come out as."""
    return "failed" if spec.requirement(fault.requirement).level is Level.MUST else "warned"


def prove_all(
    ids: Sequence[str],
    *,
    jobs: int,
    examples: int | None = None,
    thorough: bool = False,
    on_proof: Callable[[Proof], None],
) -> dict[str, Proof]:
    """Prove each, in so many processes; by id, in the order of the ids. Raises KeyboardInterrupt at once."""
    context = multiprocessing.get_context("spawn")
    proofs: dict[str, Proof] = {}
    with ProcessPoolExecutor(jobs, mp_context=context, initializer=_start_worker) as pool:
        try:
            for done in as_completed([pool.submit(_prove_one, id, examples, thorough) for id in ids]):
                proof = done.result()
                proofs[proof.id] = proof
                on_proof(proof)
        except BaseException:
            # Nobody waits for what has begun, nor for what was handed to a worker beside it.
            pool.shutdown(wait=False, cancel_futures=True)
            for worker in multiprocessing.active_children():
                worker.terminate()
            raise
    return {id: proofs[id] for id in ids}


_specs: list[Spec] = []
"""The spec of this worker."""


def _start_worker() -> None:
    from prospec.loader import load

    # Ctrl-C is for the process that has started it. What the mock remarks is of no account here.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    logging.disable()
    _specs.append(load(trusted=True))
    gc.freeze()
    gc.set_threshold(_ALLOCATIONS, 20, 20)


def _prove_one(id: str, examples: int | None, thorough: bool) -> Proof:
    return prove(_specs[0], id, examples, thorough=thorough)


# What is shown


def as_text(spec: Spec, proofs: Mapping[str, Proof], areas: Collection[str] | None = None) -> str:
    """For a terminal: each requirement with its faults, then what is not proven."""
    lines = []
    for requirement, faults in by_requirement(spec, proofs).items():
        lines.append(f"{requirement} {spec.requirement(requirement).statement}")
        lines += [_line(proofs[fault.id], fault.statement, outcome_meant(spec, fault)) for fault in faults]
    lines += [_line(proofs[each.id], each.statement, "nothing failed") for each in _variants(proofs)]
    lines += [f"unproven {id}: {why}" for id, why in unproven(spec, areas).items()]
    return "\n".join(lines)


def _line(proof: Proof, statement: str, meant: str) -> str:
    own = FAULTS[proof.id].requirement if proof.id in FAULTS else None
    others = sorted(proof.found.keys() - {own})
    also = f", also {', '.join(others)}" if others else ""
    shown = f"{meant}{also}" if not proof.problems else f"WRONG: {'; '.join(proof.problems)}"
    return f"  {proof.id}: {statement} {shown}"


def as_json(spec: Spec, proofs: Mapping[str, Proof], areas: Collection[str] | None = None) -> str:
    """For programs."""
    faults = [asdict(proof) | {"requirement": FAULTS[proof.id].requirement} for proof in _faults(proofs)]
    variants = [asdict(proofs[each.id]) for each in _variants(proofs)]
    document = {"faults": faults, "variants": variants, "unproven": unproven(spec, areas)}
    return json.dumps(document, indent=2)


def as_markdown(spec: Spec, proofs: Mapping[str, Proof]) -> str:
    """The kill matrix as a page. Equal proofs make equal bytes: it has no times in it, and what a fault turns beside
    its own requirement is what it is allowed to.
    """
    grouped, missing = by_requirement(spec, proofs), unproven(spec)
    proven = sum(not any(proofs[fault.id].problems for fault in faults) for faults in grouped.values())
    lines = [
        "# Kill matrix",
        "",
        "Each fault breaks one promise of the mock, and the suite has to find it, and nothing unrelated. Each variant",
        "keeps the promises in another way that the documentation leaves open, and nothing may fail. Made by",
        "`make kill-matrix`; do not edit.",
        "",
        f"{_killed(proofs)} of {sum(map(len, grouped.values()))} faults found; "
        f"{_quiet(proofs)} of {len(_variants(proofs))} variants pass; "
        f"{proven} of {len(spec.requirements)} requirements proven.",
    ]
    for area in sorted({each.area for each in spec.requirements}):
        lines += ["", f"## {area}", "", "| Requirement | Fault | What is broken | Found | May turn as well |"]
        lines += ["|---|---|---|---|---|"]
        for id, faults in grouped.items():
            if spec.requirement(id).area == area:
                lines += [_row(spec, fault, proofs[fault.id]) for fault in sorted(faults, key=lambda each: each.id)]
    lines += ["", "## Variants", "", "| Variant | What is done otherwise | Result |", "|---|---|---|"]
    for each in sorted(_variants(proofs), key=lambda each: each.id):
        problems = proofs[each.id].problems
        lines.append(_cells(f"`{each.id}`", each.statement, "; ".join(problems) or "passes"))
    lines += ["", "## Unproven", "", "| Requirement | Statement | Why |", "|---|---|---|"]
    lines += [_cells(id, spec.requirement(id).statement, why) for id, why in sorted(missing.items())]
    return "\n".join(lines) + "\n"


def write(text: str, path: Path) -> None:
    """The file, whole or not at all. Raises OSError."""
    path.parent.mkdir(parents=True, exist_ok=True)
    draft = path.with_name(f".{path.name}.part")
    draft.write_text(text, "utf-8")
    draft.replace(path)


def _row(spec: Spec, fault: Fault, proof: Proof) -> str:
    result = "; ".join(proof.problems) or outcome_meant(spec, fault)
    return _cells(fault.requirement, f"`{fault.id}`", fault.statement, result, ", ".join(sorted(fault.also)))


def _cells(*texts: str) -> str:
    escaped = (text.replace("|", r"\|") for text in texts)
    return f"| {' | '.join(escaped)} |"


def conclusion(proofs: Mapping[str, Proof]) -> str:
    """One line."""
    faults, variants = _faults(proofs), _variants(proofs)
    requests = sum(proof.requests for proof in proofs.values())
    return (
        f"{_killed(proofs)} of {len(faults)} faults found, {_quiet(proofs)} of {len(variants)} variants pass; "
        f"{requests} requests"
    )


def by_requirement(spec: Spec, proofs: Mapping[str, Proof]) -> dict[str, list[Fault]]:
    """The faults that were tried, by the requirement that they break, in the order of the requirements."""
    tried = [FAULTS[proof.id] for proof in _faults(proofs)]
    grouped = {each.id: [fault for fault in tried if fault.requirement == each.id] for each in spec.requirements}
    return {id: faults for id, faults in grouped.items() if faults}


def _faults(proofs: Mapping[str, Proof]) -> list[Proof]:
    return [proof for proof in proofs.values() if proof.id in FAULTS]


def _variants(proofs: Mapping[str, Proof]) -> list[Variant]:
    return [VARIANTS[id] for id in proofs if id in VARIANTS]


def _killed(proofs: Mapping[str, Proof]) -> int:
    return sum(not proof.problems for proof in _faults(proofs))


def _quiet(proofs: Mapping[str, Proof]) -> int:
    return sum(not proofs[each.id].problems for each in _variants(proofs))
