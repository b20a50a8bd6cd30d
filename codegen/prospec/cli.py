"""The `prospec` command: reads arguments, calls what does the work, prints, and picks the exit code.

Data goes to stdout, everything else to stderr. Every import beyond the standard library and the CLI's own is made
where it is needed, so that a user pays for one command at a time. The commands of the suite and the mock live in
`prospec_conformance.cli`, which is found by name only.
"""

from __future__ import annotations

import sys
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from cyclopts import App, CycloptsError, Parameter

from . import __version__
from .exits import FINDINGS, INTERNAL, NOTHING_RAN, OK, USAGE
from .terminal import COLOURS, LateConsole, forget_stdout, paint, plain, say, set_colour

EXTRAS = {"codegen": "codegen", "mock": "mock", "conformance": "conformance"}
"""The extra that a command needs."""

app = App(
    name="prospec",
    version=__version__,
    help="""Check requests for the Prospolabs API, compile its spec, mock it, and test implementations of it.

    For example:
        prospec models seedance-2-fast text
        prospec validate requests.ndjson
        prospec quote requests.ndjson
        prospec explain additionalProperties
        prospec conformance run

    Every command takes --color auto, always or never; auto looks at NO_COLOR, FORCE_COLOR and the terminal.""",
    help_format="plaintext",  # the list of commands is asked for most, and Markdown takes a third of its time to load
    result_action="return_value",
    exit_on_error=False,
    print_error=False,
)
app.command(
    "prospec_conformance.cli:mock",
    name="mock",
    help_format="markdown",
    # Said here, because the list of commands does not load what it lists.
    help="""Serve the reference implementation. Its first line on stdout is its base URL.

    ```
    prospec mock --port 8080
    prospec mock --fault PARAM-05-duration-16
    prospec mock --list-faults
    ```

    Under `/__mock/` a page shows requests, verdicts and deliveries. --state keeps everything in a file, --seed gives
    the same answers to the same requests, --scenario reads settings and outcomes from a file in TOML.

    Keys and webhook secret are those of PROSPOLABS_API_KEY, PROSPOLABS_SECOND_API_KEY and PROSPOLABS_WEBHOOK_SECRET,
    the token of its control that of PROSPEC_MOCK_TOKEN; those that are not set are made up and printed.

    A generate request may ask for an outcome, by the header X-Mock-Outcome or by a word such as mock:fail in its
    prompt: fail, slow=SECONDS, status=STATUS, accept-then-drop, accept-then-504, accept-then-500, and
    webhook=duplicate, late, reordered or none. With the header X-Mock-Token, POST /__mock/clock
    {"advance_s": 604800} moves its time ahead, due retries and expiries included; /__mock/balance, /__mock/reset,
    /__mock/state, /__mock/requests and /__mock/deliveries set and show the rest.""",
)
app.command(
    "prospec_conformance.cli:conformance", name="conformance", help="Test an implementation of the API over HTTP."
)
app.command("prospec.webhook_command:webhook", name="webhook", help="Work on a webhook receiver, without the provider.")


def main(arguments: list[str] | None = None) -> int:
    """Run one command. Returns the exit code; no exception and no traceback leaves it."""
    arguments = sys.argv[1:] if arguments is None else arguments
    arguments, colour = _take_colour(arguments)
    if colour not in COLOURS:
        say(f"--color takes {', '.join(COLOURS)}; got {colour!r}", "red")
        return USAGE
    set_colour(COLOURS[colour])
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, TextIOWrapper):
            # What the terminal's encoding lacks is escaped, not refused.
            stream.reconfigure(errors="backslashreplace")
    try:
        result = app(arguments, console=cast(Any, LateConsole()))
        sys.stdout.flush()
    except CycloptsError as error:
        known = [word for word in arguments[:1] if word in app]
        say(f"{error}\nSee `{' '.join(['prospec', *known, '--help'])}`.", "red")
        return USAGE
    except ModuleNotFoundError as error:
        extra = next((EXTRAS[word] for word in arguments if word in EXTRAS), "all")
        say(f"This command needs {error.name}: pip install 'prospec[{extra}]'", "red")
        return USAGE
    except KeyboardInterrupt:
        say("interrupted", "red")
        return NOTHING_RAN
    except BrokenPipeError:
        # The reader of our output has gone, as `head` does: nothing is wrong.
        forget_stdout()
        return OK
    except Exception as error:  # the last line of defence: a user sees no traceback
        say(f"internal error, please report it: {type(error).__name__}: {error}", "red")
        return INTERNAL
    return result if isinstance(result, int) else OK


def _take_colour(arguments: list[str]) -> tuple[list[str], str]:
    """The arguments without --color, and what it says, wherever it stands: help is printed before any command runs."""
    rest: list[str] = []
    colour = "auto"
    words = iter(arguments)
    for word in words:
        if word == "--color":
            colour = next(words, "")
        elif word.startswith("--color="):
            colour = word.removeprefix("--color=")
        else:
            rest.append(word)
    return rest, colour


@app.command(help_format="markdown")
def codegen(
    *targets: str,
    check: Annotated[bool, Parameter(negative=())] = False,
    spec: Path | None = None,
    out: Path = Path("generated"),
) -> int:
    """Compile the spec into generated files.

    ```
    prospec codegen
    prospec codegen python --check
    prospec codegen pydantic --out models
    ```

    Parameters
    ----------
    targets
        What to make: json, python, typescript, or pydantic (models of requests and answers, for those who want them).
        All but pydantic when none is named.
    check
        Write nothing; name each file that differs, is missing, or is not ours, and exit 1 if there is one. Without a
        target, what lies beside the folders of the targets is not ours either.
    spec
        The spec folder; the one that came with prospec by default.
    out
        The folder that holds one folder a target.
    """
    from .loader import SpecError, load
    from .output import compare, strays, write
    from .targets import OPTIONAL, TARGETS

    known = {**TARGETS, **OPTIONAL}
    unknown = [target for target in targets if target not in known]
    if unknown:
        say(f"no target {unknown[0]!r}; there are {', '.join(known)}", "red")
        return USAGE
    try:
        loaded = load(spec)
    except SpecError as error:
        say(f"{error}\n{len(error.problems)} problems in the spec", "red")
        return USAGE
    stale = 0
    for target in targets or TARGETS:
        files = known[target](loaded)
        folder = out / target
        try:
            differences = compare(files, folder) if check else write(files, folder)
        except OSError as error:
            say(f"{error.filename}: {error.strerror}", "red")
            return USAGE
        for difference in differences:
            print(f"{difference.state}: {plain(str(folder / difference.path))}")
        stale += sum(1 for difference in differences if check or difference.state == "not ours")
        say(f"{target}: {len(files)} files, {'not current' if check and differences else 'current'}")
    if check and not targets:
        try:
            beside = strays(out, known)
        except OSError as error:
            say(f"{error.filename}: {error.strerror}", "red")
            return USAGE
        for difference in beside:
            print(f"{difference.state}: {plain(str(out / difference.path))}")
        stale += len(beside)
    return FINDINGS if stale else OK


@app.command(help_format="markdown")
def models(model: str | None = None, mode: str | None = None, *, format: Literal["text", "json"] = "text") -> int:
    """Show the catalog: params, ranges, defaults, evidence, price, an example request.

    ```
    prospec models
    prospec models seedance-2-fast text
    prospec models --format json
    ```

    Parameters
    ----------
    model
        One model's id.
    mode
        One mode of it.
    format
        text for people, json for programs.
    """
    from prospo.catalog import MODELS

    from . import listing

    if model is not None and model not in MODELS:
        say(f"the catalog has no model {model!r}; it has {', '.join(MODELS)}", "red")
        return USAGE
    chosen = [MODELS[model]] if model else list(MODELS.values())
    if mode is not None and chosen[0].mode(mode) is None:
        say(f"{model} has no mode {mode!r}; it has {', '.join(each.id for each in chosen[0].modes)}", "red")
        return USAGE
    if format == "json":
        print(listing.as_json(chosen, mode))
    elif model is None:
        paint(listing.table(chosen))
    else:
        paint(listing.page(chosen[0], mode))
    return OK


@app.command(help_format="markdown")
def validate(
    *files: Annotated[str, Parameter(allow_leading_hyphen=True)],
    strict: Annotated[bool, Parameter(negative=())] = False,
    format: Literal["text", "json", "github"] = "text",
    jobs: int | None = None,
    column: str | None = None,
    summary: Path | None = None,
    engine: Literal["local", "ray"] = "local",
    address: str | None = None,
) -> int:
    """Check requests before they are sent.

    ```
    prospec validate request.json
    prospec validate requests.ndjson --format json
    prospec validate requests.ndjson.gz --summary problems.json
    prospec validate s3://bucket/requests --engine ray --address 10.0.0.1:6379
    echo '{"model": "veo-3-1-lite", "params": {}}' | prospec validate -
    ```

    Parameters
    ----------
    files
        .json (a request or a list of them), .jsonl or .ndjson (a request a line), each also compressed as .gz or
        .zst; .parquet, .arrow and .feather (a request a row); - or nothing is stdin.
    strict
        Take warnings, which rest on inferred or assumed facts, for errors.
    format
        text for people, json (an object a request) for programs, github for annotations in a workflow.
    jobs
        Processes; by default one a core, once there is much to do.
    column
        The column of a table that holds the requests, as JSON or as a struct; by default request, body or json, or
        else the columns model, mode and params.
    summary
        A file that gets the counts as JSON: of requests, and of problems by model, field and code.
    engine
        ray for the machines of a Ray cluster, by the extra ray: it takes folders, patterns and URLs of object stores
        too, and --jobs is the most tasks at a time.
    address
        The host:port of the cluster; by default that of RAY_ADDRESS, else one is started here for the run.
    """
    from . import validating

    if not _are_files(files, "validate"):
        return USAGE
    if jobs is not None and jobs < 1:
        say("--jobs takes a number from 1 up", "red")
        return USAGE
    if address is not None and engine == "local":
        say("--address takes --engine ray", "red")
        return USAGE
    return validating.run(
        files or ("-",),
        strict=strict,
        format=format,
        jobs=jobs,
        column=column,
        summary=summary,
        engine=engine,
        address=address,
    )


@app.command(help_format="markdown")
def quote(
    *files: Annotated[str, Parameter(allow_leading_hyphen=True)], format: Literal["text", "json"] = "text"
) -> int:
    """Say what requests would cost, and which part of that is documented.

    ```
    prospec quote requests.ndjson
    echo '{"model": "kling-o3", "params": {"prompt": "x"}}' | prospec quote -
    ```

    A range is what the documentation leaves open. Nothing is sent. Exit code 1 if a request is invalid.

    Parameters
    ----------
    files
        As for `prospec validate`.
    format
        text for people, json (an object a request) for programs.
    """
    from . import quoting

    return quoting.run(files or ("-",), format=format) if _are_files(files, "quote") else USAGE


def _are_files(files: tuple[str, ...], command: str) -> bool:
    """Whether none of them is a misspelt option."""
    for file in files:
        if file.startswith("-") and file != "-":
            say(f"Unknown option: {file}. A file of that name is ./{file}.\nSee `prospec {command} --help`.", "red")
            return False
    return True


@app.command(help_format="markdown")
def explain(*ids: str, format: Literal["text", "json"] = "text") -> int:
    """Explain a code of a problem, a requirement of the API, or a gap of its documentation. Offline.

    ```
    prospec explain additionalProperties
    prospec explain PARAM-05 GAP-31
    prospec explain
    ```

    Parameters
    ----------
    ids
        Codes, requirements and gaps; all of them are listed when none is named.
    format
        text for people, json for programs.
    """
    from . import explaining

    return explaining.run(ids, format=format)
