"""The OpenAPI document, its source and its bundles: complete, true to the documentation, and fit for outside tools.

The tools are openapi-spec-validator, Redocly's linter, and Redoc, Swagger UI and Scalar in a real Chromium.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import node as nodejs
import pytest
from jsonschema import Draft202012Validator, FormatChecker
from openapi_spec_validator import OpenAPIV31SpecValidator
from playwright.sync_api import Browser
from playwright.sync_api import TimeoutError as PlaywrightTimeout
from prospec.ir import Spec
from prospo.catalog import MODELS

ROOT = Path(__file__).parents[1]
RENDERERS = Path(__file__).parent / "renderers"
SOURCE = ROOT / "spec" / "openapi.yaml"
FILES = {
    "source": SOURCE,
    "bundle": ROOT / "generated" / "json" / "openapi.json",
    "strict bundle": ROOT / "generated" / "json" / "openapi.strict.json",
}
METHODS = {"get", "put", "post", "delete", "patch", "head", "options", "trace"}
Document = dict[str, Any]


@pytest.fixture(params=FILES)
def document(request: pytest.FixtureRequest, spec: Spec) -> Document:
    """The source and the two bundles, one after the other."""
    found: Document = spec.openapi if request.param == "source" else json.loads(FILES[request.param].read_text("utf-8"))
    return found


def resolved(document: Document, value: Any) -> Any:
    """The value itself, or what its `$ref` leads to."""
    while isinstance(value, dict) and "$ref" in value:
        reference = value["$ref"]
        assert reference.startswith("#/"), f"{reference} leaves the document"
        value = document
        for part in reference.removeprefix("#/").split("/"):
            value = value[part.replace("~1", "/").replace("~0", "~")]
    return value


def operations(document: Document, section: str = "paths") -> Iterator[tuple[str, str, Any]]:
    """(path or name of the webhook, method, operation)."""
    for path, item in document[section].items():
        for method in METHODS & item.keys():
            yield path, method, item[method]


def operation(document: Document, operation_id: str) -> tuple[str, Any]:
    """The path and the operation of that id, of which there is one."""
    [found] = [(path, each) for path, _, each in operations(document) if each["operationId"] == operation_id]
    return found


def bodies(document: Document) -> Iterator[tuple[str, Any]]:
    """(place, media type object) of every body that is sent or answered."""
    for section in ("paths", "webhooks"):
        for path, method, each in operations(document, section):
            holders = {"request": resolved(document, each.get("requestBody", {}))}
            holders |= {status: resolved(document, answer) for status, answer in each["responses"].items()}
            for name, holder in holders.items():
                for media in holder.get("content", {}).values():
                    yield f"{method} {path} {name}", media


def faults(document: Document, schema: Any, value: Any) -> list[str]:
    """What a schema of the document says against a value."""
    whole = {**schema, "components": document["components"]}
    errors = Draft202012Validator(whole, format_checker=FormatChecker()).iter_errors(value)
    return [f"{error.json_path}: {error.message}" for error in errors]


# What a validator says, and what is there.


def test_the_document_is_openapi_3_1(document: Document) -> None:
    assert document["openapi"].startswith("3.1.")
    assert [error.message for error in OpenAPIV31SpecValidator(document).iter_errors()] == []


def test_every_reference_leads_somewhere(document: Document) -> None:
    def references(value: Any) -> Iterator[dict[str, str]]:
        if isinstance(value, dict):
            if isinstance(value.get("$ref"), str):
                yield value
            for item in value.values():
                yield from references(item)
        elif isinstance(value, list):
            for item in value:
                yield from references(item)

    found = list(references(document))
    assert len(found) > 100
    for reference in found:
        resolved(document, reference)


@pytest.mark.parametrize("name", ["bundle", "strict bundle"])
def test_the_request_of_a_bundle_is_a_union_by_model_and_mode(name: str) -> None:
    bundled = json.loads(FILES[name].read_text("utf-8"))
    found = []
    for each in bundled["components"]["schemas"]["GenerateRequest"]["oneOf"]:
        union = resolved(bundled, each)
        for branch in union.get("anyOf", [each]):
            properties = resolved(bundled, branch)["properties"]
            found.append((properties["model"]["const"], properties.get("mode", {}).get("const")))
    # A strict request of a model without modes on the wire has none.
    strict = name == "strict bundle"
    pairs = [(model, mode) for model in MODELS.values() for mode in model.modes]
    assert found == [(model.id, mode.id if mode.on_wire or not strict else None) for model, mode in pairs]


OPERATIONS = {
    ("post", "/v1/generate"): ({"async"}, {"200", "202", "400", "401", "403", "429", "500", "504"}),
    ("get", "/v1/generations/{generation_id}"): ({"generation_id"}, {"200", "401", "404", "410", "429", "500"}),
    ("post", "/v1/uploads/initiate"): (set(), {"200", "400", "401", "429", "500"}),
    ("put", "/v1/uploads/proxy/{token}"): ({"token"}, {"200", "400", "401", "404", "429", "500"}),
    ("get", "/v1/balance"): (set(), {"200", "401", "429", "500"}),
}


def test_every_operation_of_the_documentation_is_there_with_its_statuses(document: Document) -> None:
    found = {
        (method, path): ({parameter["name"] for parameter in each.get("parameters", ())}, each["responses"].keys())
        for path, method, each in operations(document)
    }
    assert found == OPERATIONS


def test_every_operation_needs_the_key(document: Document) -> None:
    assert document["security"] == [{"apiKey": []}]
    scheme = document["components"]["securitySchemes"]["apiKey"]
    assert (scheme["type"], scheme["scheme"]) == ("http", "bearer")
    assert all("security" not in each and "401" in each["responses"] for _, _, each in operations(document))


def test_every_response_carries_the_rate_limit_headers(document: Document) -> None:
    seen = 0
    for path, method, each in operations(document):
        for status, response in each["responses"].items():
            headers = resolved(document, response)["headers"]
            where = f"{method} {path} {status}"
            assert headers.keys() == {"X-RateLimit-Limit", "X-RateLimit-Remaining", "X-RateLimit-Reset"}, where
            # The documentation does not say which responses carry them.
            assert not any(resolved(document, header).get("required") for header in headers.values()), where
            seen += 1
    assert seen == 29


def test_every_error_has_the_one_error_body(document: Document) -> None:
    seen = 0
    for path, method, each in operations(document):
        for status, response in each["responses"].items():
            if status[0] in "45":
                content = resolved(document, response)["content"]
                where = f"{method} {path} {status}"
                assert {name: media["schema"] for name, media in content.items()} == {
                    "application/json": {"$ref": "#/components/schemas/Error"}
                }, where
                seen += 1
    assert seen == 23
    assert "required" not in document["components"]["schemas"]["Error"], "no field is in every error shown"


def test_every_webhook_is_signed_and_free_of_the_key(document: Document) -> None:
    found = {path: each for path, _, each in operations(document, "webhooks")}
    assert found.keys() == {"generationCompleted", "generationFailed"}
    for each in found.values():
        assert each["security"] == []
        assert each["responses"].keys() == {"2XX", "401"}
        [header] = [resolved(document, parameter) for parameter in each["parameters"]]
        assert (header["name"], header["in"], header["required"]) == ("X-Prospo-Signature", "header", True)
        assert faults(document, header["schema"], "0" * 64) == []
        assert faults(document, header["schema"], "0" * 63) != []


GAPS = {
    "GAP-01": ("schemas", "GenerateRequest", "properties", "params"),
    "GAP-02": ("schemas", "Generation", "properties", "cost_usd"),
    "GAP-03": ("schemas", "Error"),
    "GAP-04": ("responses", "OutputExpired"),
    "GAP-05": ("schemas", "GenerateRequest", "properties", "mode"),
    "GAP-06": ("schemas", "Generation", "properties", "mode"),
    "GAP-26": ("schemas", "Generation"),
    "GAP-27": ("schemas", "Generation", "properties", "poll_url"),
    "GAP-29": ("parameters", "WebhookSignature"),
    "GAP-31": ("responses", "BadRequest"),
    "GAP-32": ("responses", "BadRequest"),
}


def test_what_the_documentation_contradicts_names_its_gap(spec: Spec) -> None:
    for gap, place in GAPS.items():
        value = spec.openapi["components"]
        for part in place:
            value = value[part]
        assert gap in value["description"], place
    for path, _, webhook in operations(spec.openapi, "webhooks"):
        assert "GAP-28" in webhook["description"], path


def test_every_gap_that_is_named_exists(spec: Spec) -> None:
    named = set(re.findall(r"GAP-\d+", SOURCE.read_text("utf-8")))
    assert named - {gap.id for gap in spec.gaps} == set()


# The documentation's examples, typed from it by hand. In its text a sample's line numbers run into its figures: 284309
# is 28430 in front of line 9, 4218018 is 42180 in front of line 18.

TOKEN = "pl-upload-3d756375a28d44cead027db57565f176"
OUTPUT = "https://cdn.prospolabs.com/results/gen_a1b2c3d4e5f6.mp4?token=..."
POLLED = {"generation_id": "gen_a1b2c3d4e5f6", "model": "veo-3-1", "mode": "text"}
"""The documentation shortens the id of these samples to `gen_...`."""

EXAMPLES: dict[str, Any] = {
    "GenerateQuickStart": {
        "model": "veo-3-1-lite",
        "mode": "text",
        "params": {
            "prompt": "A close-up of a hummingbird hovering near a sunlit flower, slow motion",
            "duration": "8s",
            "resolution": "720p",
            "aspect_ratio": "16:9",
            "generate_audio": True,
        },
    },
    "GenerateWithUploadToken": {
        "model": "seedance-2",
        "mode": "reference",
        "params": {
            "prompt": "animate the product on a beach at golden hour",
            "image_urls": [TOKEN],
            "duration": 6,
            "resolution": "720p",
        },
    },
    "SynchronousReply": {
        "generation_id": "gen_a1b2c3d4e5f6",
        "status": "completed",
        "model": "veo-3-1-lite",
        "mode": "text",
        "output_url": OUTPUT,
        "cost_usd": 0.40,
        "duration_ms": 28430,
    },
    "AsynchronousReply": {
        **POLLED,
        "status": "queued",
        "created_at": "2026-05-02T14:32:15.000Z",
        "poll_url": "https://api.prospolabs.com/v1/generations/gen_a1b2c3d4e5f6",
    },
    "PollQueued": {**POLLED, "status": "queued"},
    "PollProcessing": {**POLLED, "status": "processing"},
    "PollCompleted": {**POLLED, "status": "completed", "output_url": OUTPUT, "cost_usd": 3.22, "duration_ms": 42180},
    "PollFailed": {**POLLED, "status": "failed"},
    "InitiateUpload": {"content_type": "video/mp4", "file_name": "my-clip.mp4"},
    "InitiatedUpload": {"token": TOKEN, "upload_url": f"/v1/uploads/proxy/{TOKEN}", "content_type": "video/mp4"},
    "UploadReceived": {"status": "uploaded", "bytes": 12345678},
    "CurrentBalance": {"balance_usd": 12.345, "currency": "USD"},
    "InsufficientBalance": {"detail": "Insufficient balance. Please top up to continue."},
    "ExpiredOutput": {"code": "output_expired"},
    "CompletedEvent": {
        "event": "generation.completed",
        "generation_id": "gen_a1b2c3d4e5f6",
        "data": {
            "model": "veo-3-1",
            "mode": "text",
            "output_url": OUTPUT,
            "cost_usd": 3.22,
            "duration_ms": 42180,
        },
        "timestamp": "2026-05-02T14:33:27.000Z",
    },
}


def test_the_examples_are_those_of_the_documentation(document: Document) -> None:
    found = {name: example["value"] for name, example in document["components"]["examples"].items()}
    assert found == EXAMPLES
    assert found["GenerateQuickStart"]["params"]["generate_audio"] is True, "1 is equal to it"


def test_each_example_is_shown_and_fits_the_schema_beside_it(document: Document) -> None:
    shown = set()
    for place, media in bodies(document):
        for name, reference in media.get("examples", {}).items():
            shown.add(reference["$ref"].removeprefix("#/components/examples/"))
            assert faults(document, media["schema"], resolved(document, reference)["value"]) == [], f"{place} {name}"
    assert shown == EXAMPLES.keys()
    for path, _, each in operations(document):
        for parameter in each.get("parameters", ()):
            if "example" in parameter:
                assert faults(document, parameter["schema"], parameter["example"]) == [], f"{path} {parameter['name']}"


LINKS = {
    ("generate", "200", "getGeneration"): {"generation_id": "gen_a1b2c3d4e5f6"},
    ("generate", "202", "getGeneration"): {"generation_id": "gen_a1b2c3d4e5f6"},
    ("initiateUpload", "200", "putUpload"): {"token": TOKEN},
}


def test_each_link_leads_to_an_operation_with_what_the_examples_hold(document: Document) -> None:
    found = {}
    for _, _, each in operations(document):
        for status, response in each["responses"].items():
            answer = resolved(document, response)
            for reference in answer.get("links", {}).values():
                link = resolved(document, reference)
                path, target = operation(document, link["operationId"])
                schemas = {parameter["name"]: parameter["schema"] for parameter in target["parameters"]}
                assert {f"{{{name}}}" for name in link["parameters"]} == set(re.findall(r"\{\w+\}", path))
                for example in answer["content"]["application/json"]["examples"].values():
                    body = resolved(document, example)["value"]
                    values = {}
                    for name, expression in link["parameters"].items():
                        assert expression.startswith("$response.body#/")
                        values[name] = body[expression.removeprefix("$response.body#/")]
                        assert faults(document, schemas[name], values[name]) == []
                    found[each["operationId"], status, link["operationId"]] = values
                    # The address that the reply itself names is the one that the link makes.
                    server = document["servers"][0]["url"]
                    made = path.format(**values)
                    assert body.get("poll_url", server + made) == server + made
                    assert body.get("upload_url", made) == made
    assert found == LINKS


# Outside tools


@pytest.fixture(scope="session")
def node() -> str:
    return nodejs.node()


@pytest.fixture(scope="session")
def packages() -> Path:
    """node_modules, installed as the lock file says."""
    return nodejs.installed(RENDERERS)


def test_the_lock_file_names_no_host_and_the_versions_are_exact() -> None:
    locked = json.loads((RENDERERS / "package-lock.json").read_text("utf-8"))["packages"]
    assert [name for name, package in locked.items() if "resolved" in package] == []
    asked = json.loads((RENDERERS / "package.json").read_text("utf-8"))["dependencies"]
    assert asked == {name: locked[f"node_modules/{name}"]["version"] for name in asked}


def lint(node: str, packages: Path, file: Path, cwd: Path) -> tuple[dict[str, int], list[str]]:
    """Totals and problems of Redocly's linter under its recommended rules. In `cwd` it finds no settings of ours."""
    program = packages / "@redocly" / "cli" / "bin" / "cli.js"
    done = subprocess.run(
        [node, program, "lint", file, "--extends=recommended", "--format=json"],
        cwd=cwd,
        env={**os.environ, "REDOCLY_TELEMETRY": "off", "REDOCLY_SUPPRESS_UPDATE_NOTICE": "true"},
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.stdout.startswith("{"), done.stderr
    report = json.loads(done.stdout)
    problems = [
        f"{problem['severity']} {problem['ruleId']} {problem['location'][0].get('pointer')}: {problem['message']}"
        for problem in report["problems"]
    ]
    assert done.returncode == (1 if report["totals"]["errors"] else 0), done.stderr
    return report["totals"], problems


@pytest.mark.parametrize("name", FILES)
def test_redocly_finds_neither_error_nor_warning(node: str, packages: Path, tmp_path: Path, name: str) -> None:
    totals, problems = lint(node, packages, FILES[name], tmp_path)
    assert problems == []
    assert totals == {"errors": 0, "warnings": 0, "ignored": 0}


def test_redocly_finds_the_error_and_the_warning_that_are_there(
    node: str, packages: Path, tmp_path: Path, spec: Spec
) -> None:
    broken = json.loads(json.dumps(spec.openapi))
    del broken["paths"]["/v1/balance"]["get"]["summary"]
    del broken["info"]["license"]
    (tmp_path / "openapi.json").write_text(json.dumps(broken))
    totals, problems = lint(node, packages, tmp_path / "openapi.json", tmp_path)
    assert totals == {"errors": 1, "warnings": 1, "ignored": 0}
    assert {problem.split(":")[0] for problem in problems} == {
        "error operation-summary #/paths/~1v1~1balance/get/summary",
        "warn info-license #/info",
    }


class Site(ThreadingHTTPServer):
    """The pages of tests/renderers and the documents, on loopback. As the browser's proxy it refuses all else."""

    def __init__(self, documents: dict[str, bytes]) -> None:
        super().__init__(("127.0.0.1", 0), partial(Handler, documents, directory=str(RENDERERS)))
        self.url = f"http://127.0.0.1:{self.server_port}"
        self.refused: list[str] = []

    def strays(self) -> list[str]:
        """The outside hosts that were asked for since the last call, without those that the browser asks by itself."""
        found, self.refused = self.refused, []
        return [host for host in found if not host.endswith((".googleapis.com", ".google.com"))]

    def handle_error(self, request: Any, client_address: Any) -> None:
        if not isinstance(sys.exception(), ConnectionError):  # The browser hung up.
            super().handle_error(request, client_address)


class Handler(SimpleHTTPRequestHandler):
    server: Site
    protocol_version = "HTTP/1.1"

    def __init__(self, documents: dict[str, bytes], *arguments: Any, **options: Any) -> None:
        self.documents = documents
        super().__init__(*arguments, **options)

    def do_GET(self) -> None:
        if not self.path.startswith("/"):
            self.refuse()
        elif (body := self.documents.get(self.path)) is not None:
            self.send_response(200)
            self.send_header("Content-Type", "application/json")
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)
        else:
            super().do_GET()

    def refuse(self) -> None:
        self.server.refused.append(urlsplit(self.path if "://" in self.path else f"//{self.path}").hostname or "")
        self.send_error(403)

    def do_CONNECT(self) -> None:
        self.refuse()

    def do_POST(self) -> None:
        self.refuse()

    def log_message(self, format: str, *arguments: Any) -> None:
        pass


@pytest.fixture(scope="session")
def site(packages: Path, spec: Spec) -> Iterator[Site]:
    documents = {"/source.json": json.dumps(spec.openapi).encode(), "/bundle.json": FILES["bundle"].read_bytes()}
    server = Site(documents)
    thread = threading.Thread(target=server.serve_forever, daemon=True)
    thread.start()
    yield server
    server.shutdown()
    server.server_close()
    thread.join()


@pytest.fixture(scope="module")
def browser(launch: Callable[[str], Browser], site: Site) -> Iterator[Browser]:
    """A browser that has nowhere to go but the site."""
    launched = launch(site.url)
    yield launched
    launched.close()
    assert site.strays() == []


LOGO = "https://cdn.redoc.ly/redoc/logo-mini.svg"
"""Redoc's own logo, which no option of it leaves out. The browser is given it here, so that nothing leaves."""
CALLED_OFF = (LOGO, "net::ERR_ABORTED")
"""What a page does to it that is left before it has come."""
EMPTY = '<svg xmlns="http://www.w3.org/2000/svg"/>'


def visit(browser: Browser, site: Site, page_name: str, texts: list[str]) -> list[str]:
    """Open a page, wait for the texts to be visible on it, and return everything that went wrong meanwhile."""
    wrong: list[str] = []

    def judge(is_wrong: bool, what: str) -> None:
        if is_wrong:
            wrong.append(what)

    ours = (f"{site.url}/", f"blob:{site.url}/", "data:", LOGO)
    context = browser.new_context()
    context.set_default_timeout(60_000)
    context.route(LOGO, lambda route: route.fulfill(content_type="image/svg+xml", body=EMPTY))
    context.on("request", lambda request: judge(not request.url.startswith(ours), f"outside: {request.url}"))
    # The logo is answered by us; a page that is left before it has come calls it off.
    context.on(
        "requestfailed",
        lambda each: judge((each.url, each.failure) != CALLED_OFF, f"failed: {each.url}: {each.failure}"),
    )
    context.on("response", lambda answer: judge(answer.status >= 400, f"{answer.status}: {answer.url}"))
    page = context.new_page()
    page.on("websocket", lambda socket: judge(True, f"outside: {socket.url}"))
    page.on("pageerror", lambda error: judge(True, f"page: {error}"))
    page.on("console", lambda said: judge(said.type in ("error", "warning"), f"{said.type}: {said.text}"))
    page.goto(f"{site.url}/pages/{page_name}", wait_until="load")
    try:
        page.wait_for_function("texts => texts.every(text => document.body.innerText.includes(text))", arg=texts)
    except PlaywrightTimeout:
        shown = page.inner_text("body")
        wrong += [f"not on the page: {text}" for text in texts if text not in shown]
    page.wait_for_load_state("networkidle")
    # Swagger UI tells of a broken document on the page, not on the console.
    wrong += [f"shown: {panel.inner_text()}" for panel in page.locator(".errors-wrapper").all()]
    # What a page sends when it is left, telemetry for one, is seen by the proxy alone.
    page.goto("about:blank")
    page.wait_for_timeout(500)
    context.close()
    return wrong + [f"outside, by the proxy: {host}" for host in site.strays()]


@pytest.mark.parametrize("name", ["source", "bundle"])
@pytest.mark.parametrize("renderer", ["redoc", "swagger-ui", "scalar"])
def test_the_document_is_rendered(browser: Browser, site: Site, spec: Spec, renderer: str, name: str) -> None:
    summaries = [
        each["summary"] for section in ("paths", "webhooks") for _, _, each in operations(spec.openapi, section)
    ]
    assert len(summaries) == 7
    # From the sample of the quick start; and, of a bundle, from the params of GPT Image 2.
    params = ["generate_audio", "28430"] if name == "source" else ["generate_audio", "28430", "image_size"]
    assert visit(browser, site, f"{renderer}.html?document=/{name}.json", [*summaries, *params]) == []
