"""Scenario files: what one may say, what is wrong with one and on which line, and which request meets which outcome.

What the outcomes then do is in test_mock_control.py.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from dataclasses import fields
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prospec.ir import Spec
from prospec_conformance.mock import FAULTS, VARIANTS, MockConfig
from prospec_conformance.mock.outcomes import UnknownWishError, Wish, parsed
from prospec_conformance.mock.scenario import read, understood
from prospec_conformance.mock.script import Rule, Script
from prospec_conformance.mock.server import ENVIRONMENT

TOKEN = "pl-upload-3d756375a28d44cead027db57565f176"
WHOLE = f"""\
host = "127.0.0.1"
port = 8080
balance_usd = "5.00"
rate_limit = 60
processing_s = 2
seed = 7
faults = ["{next(iter(FAULTS))}"]
variants = ["{next(iter(VARIANTS))}"]
webhook_url = "http://127.0.0.1:9000/hook"
webhook_hosts = ["example.com"]
generation_ids = ["gen_a1b2c3d4e5f6", "gen_2"]
upload_tokens = ["{TOKEN}"]

[[outcomes]]
model = "kling-o3"
mode = "text"
account = "second"
after = 2
times = 1
outcome = "fail slow=3"

[[outcomes]]
outcome = "status=429"
"""
NO_SETTING = {"state"}
"""Where the state is kept is no part of what happens in it."""


# What may be said


def test_a_file_that_says_everything(spec: Spec, tmp_path: Path) -> None:
    path = tmp_path / "whole.toml"
    path.write_text(WHOLE, "utf-8")
    settings = read(path, spec)
    assert settings == {
        "host": "127.0.0.1",
        "port": 8080,
        "balance_usd": Decimal("5.00"),
        "rate_limit": 60,
        "processing_s": 2.0,
        "seed": 7,
        "faults": frozenset([next(iter(FAULTS))]),
        "variants": frozenset([next(iter(VARIANTS))]),
        "webhook_url": "http://127.0.0.1:9000/hook",
        "webhook_hosts": ("example.com",),
        "generation_ids": ("gen_a1b2c3d4e5f6", "gen_2"),
        "upload_tokens": (TOKEN,),
        "outcomes": (
            Rule(Wish(fails=True, lasts_s=3), "kling-o3", "text", "second", after=2, times=1),
            Rule(Wish(status=429)),
        ),
    }
    config = MockConfig(**settings)
    assert settings == {name: getattr(config, name) for name in settings}


def test_every_field_of_the_config_is_a_setting_or_has_a_reason_not_to_be() -> None:
    said = {line.partition(" = ")[0] for line in WHOLE.partition("\n\n")[0].splitlines()}
    assert said | {"outcomes"} | ENVIRONMENT.keys() | NO_SETTING == {each.name for each in fields(MockConfig)}


def test_an_empty_file_says_nothing(spec: Spec) -> None:
    assert understood("", "s.toml", spec) == {}


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ('balance_usd = "0"', Decimal(0)),
        ("balance_usd = 5", Decimal(5)),
        ("balance_usd = 0.1", Decimal("0.1")),
        ("rate_limit = 0", None),
        ("rate_limit = 1", 1),
        ("processing_s = 0.5", 0.5),
        ("processing_s = 0", 0.0),
        ("seed = 0", 0),
        ("faults = []", frozenset()),
    ],
)
def test_a_setting_has_the_type_of_its_field(said: str, meant: object) -> None:
    (value,) = understood(said, "s.toml").values()
    assert (value, type(value)) == (meant, type(meant))


# What is wrong


MISTAKES: dict[str, str] = {
    "prot = 1": "prot: unknown key, expected one of host, port, .*did you mean 'port'",
    "zzzzz = 1": "zzzzz: unknown key, expected one of host, .*outcomes$",
    '"a b" = 1': "'a b': unknown key, expected one of",
    "host = 5": "host: is 5, expected text",
    "port = 70000": "port: port 70000 is not between 0 and 65535",
    'port = "80"': "port: is '80', expected a whole number",
    "seed = true": "seed: is true, expected a whole number",
    "seed = 1.0": "seed: is 1.0, expected a whole number",
    "rate_limit = -1": "rate_limit: a rate limit of -1 lets nobody in",
    "processing_s = nan": "processing_s: processing cannot take nan s",
    "processing_s = -0.5": "processing_s: processing cannot take -0.5 s",
    "processing_s = 1979-05-27": "processing_s: is .*, expected a number",
    f"processing_s = {10**400}": "processing_s: is 1000.*, expected a number",
    'balance_usd = "five"': "balance_usd: is 'five', expected an amount in USD",
    'balance_usd = "-5"': "balance_usd: is '-5', expected an amount",
    'balance_usd = "1e999"': "balance_usd: is '1e999', expected an amount",
    'balance_usd = "٥"': "balance_usd: is '٥', expected an amount",
    "balance_usd = inf": "balance_usd: is .*, expected an amount",
    "balance_usd = false": "balance_usd: is false, expected an amount",
    "faults = 'x'": "faults: is 'x', expected a list of texts",
    "faults = [1]": "faults: is a list, expected a list of texts",
    "variants = ['asinc-202']": r"variants\[0\]: unknown variant 'asinc-202'; did you mean 'async-202'",
    "webhook_hosts = {a = 1}": "webhook_hosts: is a table, expected a list of texts",
    "webhook_url = 1": "webhook_url: is 1, expected text",
    "state = 's.db'": "state: unknown key",
    "generation_ids = 'gen_1'": "generation_ids: is 'gen_1', expected a list of texts",
    "generation_ids = ['gen_1', '../x']": r"generation_ids\[1\]: is '../x', expected text of the form gen_",
    'generation_ids = ["gen_1\\n"]': r"generation_ids\[0\]: is 'gen_1\\n', expected text of the form gen_",
    "generation_ids = ['gen_1', 'gen_1']": r"generation_ids\[1\]: 'gen_1' stands twice, expected each once",
    "upload_tokens = ['pl-upload-1']": r"upload_tokens\[0\]: is 'pl-upload-1', expected text of the form pl-upload",
    "outcomes = 5": r"outcomes: is 5, expected tables that begin with \[\[outcomes\]\]",
    "outcomes = {outcome = 'fail'}": "outcomes: is a table, expected tables",
    "outcomes = ['fail']": "outcomes: is a list, expected tables",
    "outcomes = [{}]": r"outcomes\[0\].outcome: missing, expected one or more of: fail: .*; slow=SECONDS",
    "outcomes = [{outcome = ''}]": r"outcomes\[0\].outcome: is '', expected one or more of",
    "outcomes = [{outcome = 'explode'}]": r"outcomes\[0\].outcome: is 'explode', expected one or more of",
    "outcomes = [{outcome = 'fail', acount = 'first'}]": r"outcomes\[0\].acount: unknown key.*did you mean 'account'",
    "outcomes = [{outcome = 'fail', account = 'third'}]": "account: is 'third', expected one of first, second$",
    "outcomes = [{outcome = 'fail', model = 'kling-o4'}]": "model: is 'kling-o4', expected one of .*mean 'kling-o3'",
    "outcomes = [{outcome = 'fail', model = ['kling-o3']}]": "model: is a list, expected one of",
    "outcomes = [{outcome = 'fail', model = 'kling-o3', mode = 'edit'}]": "mode: is 'edit', expected one of text, ",
    "outcomes = [{outcome = 'fail', mode = 'txt'}]": "mode: is 'txt', expected one of .*did you mean 'text'",
    "outcomes = [{outcome = 'fail', after = -1}]": "after: is -1, expected a whole number, at least 0",
    "outcomes = [{outcome = 'fail', after = true}]": "after: is true, expected a whole number",
    "outcomes = [{outcome = 'fail', times = 0}]": "times: is 0, expected a whole number, at least 1",
    "outcomes = [{outcome = 'fail', times = 1.5}]": "times: is 1.5, expected a whole number",
    **{f"{name} = 'x'": f"{name}: is a secret, .* environment as {variable}" for name, variable in ENVIRONMENT.items()},
}
"""A line, and what is said of it."""


def problems(text: str, spec: Spec | None) -> list[str]:
    with pytest.raises(ValueError, match=r"^s\.toml") as refused:
        understood(text, "s.toml", spec)
    assert type(refused.value) is ValueError
    return str(refused.value).splitlines()


@pytest.mark.parametrize("line", MISTAKES)
def test_a_mistake_is_told_with_its_line_and_what_was_expected(line: str, spec: Spec) -> None:
    (said,) = problems(f"# a scenario\n\n{line}\n", spec)
    assert re.fullmatch(rf"s\.toml:3: (outcomes\[0\]\.)?{MISTAKES[line].removesuffix('$')}.*", said), said
    if MISTAKES[line].endswith("$"):
        assert re.search(MISTAKES[line], said), said


@given(lines=st.lists(st.sampled_from(sorted(MISTAKES)), min_size=1, unique_by=lambda line: line.split(" = ")[0]))
def test_every_mistake_is_told_in_the_order_of_the_file(lines: list[str], spec: Spec) -> None:
    said = problems("\n\n".join(lines), spec)
    assert [line.partition(": ")[0] for line in said] == [f"s.toml:{2 * index + 1}" for index in range(len(lines))]


def test_mistakes_of_tables_have_the_lines_of_their_members(spec: Spec) -> None:
    text = WHOLE.replace('"kling-o3"', '"kling"').replace("times = 1", "times = -1").replace("status=429", "429")
    lines = text.replace("\n", "\r\n").split("\r\n")
    said = problems("\r\n".join(lines), spec)
    expected = ['model = "kling"', "times = -1", 'outcome = "429"']
    assert [line.partition(": ")[0] for line in said] == [f"s.toml:{lines.index(each) + 1}" for each in expected]


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"port = 1\nport = 2\n", "s.toml:2: .*, expected TOML"),
        (b"port =\n", "s.toml:1: .*, expected TOML"),
        (b"# \xff\n", "s.toml:1: byte 2 is no UTF-8, expected TOML in UTF-8"),
        (b"port = 1\n# \xff\n", "s.toml:2: byte 11 is no UTF-8"),
        (b"x = " + b"[" * 100_000, "s.toml: nested too deep, expected TOML"),
        (b"port = " + b"9" * 5000, "s.toml:1: a number of thousands of digits"),
    ],
    ids=["a key twice", "half a line", "no UTF-8", "no UTF-8 further down", "deep", "long"],
)
def test_what_cannot_be_parsed_is_told_with_its_place(content: bytes, said: str, tmp_path: Path, spec: Spec) -> None:
    path = tmp_path / "s.toml"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=said) as refused:
        read(path, spec)
    assert type(refused.value) is ValueError


def test_a_file_that_is_not_there_or_none_is_told_as_such(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"none.toml: cannot be read: .*, expected a scenario in TOML"):
        read(tmp_path / "none.toml")
    with pytest.raises(ValueError, match="cannot be read: "):
        read(tmp_path)


@pytest.mark.parametrize(
    "text",
    [
        *(f"{name} = 'canary'" for name in ENVIRONMENT),
        "webhook_url = ['http://127.0.0.1/canary']",
        "webhook_url = {canary = 'canary'}",
        "webhook_url = 'http://127.0.0.1/canary'\nport = -1",
        "webhok_url = 'http://127.0.0.1/canary'",
        "webhook_url = http://127.0.0.1/canary",
        "webhook_url = 'http://127.0.0.1/canary",
    ],
)
def test_no_secret_is_repeated(text: str, spec: Spec) -> None:
    assert "canary" not in "".join(problems(text, spec))


def test_without_a_spec_names_of_the_api_are_not_judged() -> None:
    text = "generation_ids = ['x']\nupload_tokens = ['y']\n[[outcomes]]\nmodel = 'a'\nmode = 'b'\noutcome = 'fail'"
    assert understood(text, "s.toml") == {
        "generation_ids": ("x",),
        "upload_tokens": ("y",),
        "outcomes": (Rule(Wish(fails=True), "a", "b"),),
    }


@given(cut=st.tuples(st.integers(0, len(WHOLE)), st.integers(0, len(WHOLE))), put=st.text(max_size=5))
def test_a_damaged_file_is_read_or_refused_and_breaks_nothing(cut: tuple[int, int], put: str, spec: Spec) -> None:
    start, end = sorted(cut)
    refusal: Exception | None = None
    try:
        understood(WHOLE[:start] + put + WHOLE[end:], "s.toml", spec)
    except ValueError as error:
        refusal = error
    assert type(refusal) in (type(None), ValueError)
    assert refusal is None or all(line.startswith("s.toml") for line in str(refusal).split("\n"))


# What a rule says


WORDS: dict[str, Wish] = {
    "fail": Wish(fails=True),
    "slow=2": Wish(lasts_s=2),
    "status=500": Wish(status=500),
    "accept-then-drop": Wish(after="drop"),
    "accept-then-504": Wish(after="504"),
    "accept-then-500": Wish(after="500", fails=True),
    "webhook=late": Wish(webhook="late"),
    "fail, slow=2": Wish(fails=True, lasts_s=2),
}


@pytest.mark.parametrize("words", WORDS)
def test_the_words_of_a_rule_are_those_of_the_header(words: str) -> None:
    assert parsed(words) == WORDS[words]


def test_words_are_added_to_a_wish_and_none_is_unknown() -> None:
    assert parsed("slow=2", Wish(fails=True)) == Wish(fails=True, lasts_s=2)
    for text in ("", " ", "fail explode", "accept-then-500=1"):
        with pytest.raises(UnknownWishError):
            parsed(text)


@st.composite
def rules(draw: st.DrawFn) -> tuple[str, Rule]:
    """A rule as a file writes it, and as it is meant."""
    words = draw(st.sampled_from(sorted(WORDS)))
    members: dict[str, Any] = {
        "model": draw(st.sampled_from([None, "kling-o3", "kling-v3"])),
        "mode": draw(st.sampled_from([None, "text", "image"])),
        "account": draw(st.sampled_from([None, "first", "second"])),
        "after": draw(st.one_of(st.none(), st.integers(0, 3))),
        "times": draw(st.one_of(st.none(), st.integers(1, 3))),
    }
    given = {name: value for name, value in members.items() if value is not None}
    lines = [f"{name} = {json.dumps(value)}" for name, value in {**given, "outcome": words}.items()]
    return "\n".join(["[[outcomes]]", *draw(st.permutations(lines))]), Rule(WORDS[words], **given)


@given(drawn=st.lists(rules(), max_size=4))
def test_rules_are_read_as_they_are_written_and_in_their_order(drawn: list[tuple[str, Rule]], spec: Spec) -> None:
    text = "\n\n".join(text for text, _ in drawn)
    assert understood(text, "s.toml", spec).get("outcomes", ()) == tuple(rule for _, rule in drawn)


# Which request meets which outcome


Requests = list[tuple[str, str, str]]
REQUESTS = st.lists(
    st.tuples(
        st.sampled_from(["kling-o3", "kling-v3"]),
        st.sampled_from(["text", "image"]),
        st.sampled_from(["first", "second"]),
    ),
    max_size=12,
)


def played(script: Script, requests: Requests) -> list[Wish | None]:
    return [script.outcome(*request) for request in requests]


@given(rules(), REQUESTS)
def test_a_rule_lets_some_of_its_requests_pass_and_takes_the_next(drawn: tuple[str, Rule], requests: Requests) -> None:
    _, rule = drawn
    outcomes = played(Script([rule], Counter()), requests)
    asked = (rule.model, rule.mode, rule.account)
    own = [
        outcome
        for request, outcome in zip(requests, outcomes, strict=True)
        if all(value in (None, each) for value, each in zip(asked, request, strict=True))
    ]
    end = len(own) if rule.times is None else rule.after + rule.times
    assert own == [rule.wish if rule.after <= index < end else None for index in range(len(own))]
    assert sum(outcome is not None for outcome in outcomes) == sum(outcome is not None for outcome in own)


@given(rules(), st.lists(rules(), max_size=3), REQUESTS)
def test_what_the_first_rule_takes_the_others_never_see(
    first: tuple[str, Rule], others: list[tuple[str, Rule]], requests: Requests
) -> None:
    chain = [rule for _, rule in (first, *others)]
    taken = played(Script(chain[:1], Counter()), requests)
    rest = Script(chain[1:], Counter())
    expected = [
        wish if wish is not None else rest.outcome(*request) for wish, request in zip(taken, requests, strict=True)
    ]
    assert played(Script(chain, Counter()), requests) == expected


@given(st.lists(rules(), max_size=4), REQUESTS, st.integers(0, 12))
def test_counts_that_were_kept_go_on(drawn: list[tuple[str, Rule]], requests: Requests, cut: int) -> None:
    chain = [rule for _, rule in drawn]
    kept: Counter[str] = Counter()
    before = played(Script(chain, kept), requests[:cut])
    after = played(Script(chain, Counter(dict(kept))), requests[cut:])
    assert before + after == played(Script(chain, Counter()), requests)


def test_rules_about_everything_take_turns() -> None:
    script = Script([Rule(Wish(status=429), times=2), Rule(Wish(fails=True), after=1, times=1)], Counter())
    outcomes = played(script, [("kling-o3", "text", "first")] * 5)
    assert outcomes == [Wish(status=429), Wish(status=429), None, Wish(fails=True), None]
