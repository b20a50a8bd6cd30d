"""From the parsed files of spec/ to the values of `ir`. What is built here has the shape that its schema asks for.

Here live no I/O and no checks.
"""

from __future__ import annotations

from decimal import Decimal
from typing import Any, cast

from .ir import (
    Alias,
    Aliases,
    Choice,
    Code,
    Evidence,
    Flag,
    Gap,
    Level,
    ListOf,
    Media,
    Mode,
    Model,
    Number,
    Param,
    Price,
    Rate,
    Requirement,
    Service,
    Side,
    Size,
    Text,
    Type,
    UploadKind,
    Uploads,
    Value,
    Webhook,
)

Raw = dict[str, Any]


def service(raw: Raw) -> Service:
    uploads, webhook = raw["uploads"], raw["webhook"]
    return Service(
        base_url=raw["base_url"],
        documentation_url=raw["documentation"]["url"],
        documentation_date=raw["documentation"]["date"],
        key_prefix=raw["key_prefix"],
        generation_prefix=raw["generation_prefix"],
        url_pattern=raw["url_pattern"],
        requests_per_minute=raw["requests_per_minute"],
        sync_timeout_s=raw["sync_timeout_s"],
        async_above_s=raw["async_above_s"],
        output_lifetime_s=raw["output_lifetime_s"],
        uploads=Uploads(
            token_pattern=uploads["token_pattern"],
            before_put_s=uploads["before_put_s"],
            after_put_s=uploads["after_put_s"],
            kinds=tuple(
                UploadKind(kind["media"], tuple(kind["content_types"]), kind["max_bytes"]) for kind in uploads["kinds"]
            ),
        ),
        webhook=Webhook(webhook["header"], tuple(webhook["retry_after_s"])),
    )


def requirement(raw: Raw) -> Requirement:
    return Requirement(
        id=raw["id"],
        level=Level(raw["level"]),
        section=raw["section"],
        statement=raw["statement"],
        cost=raw["cost"],
        needs=tuple(raw.get("needs", ())),
        gap=raw.get("gap"),
        unverifiable=raw.get("unverifiable"),
    )


def gap(raw: Raw) -> Gap:
    sides = tuple(Side(side["says"], side["source"]) for side in raw["sides"])
    return Gap(raw["id"], raw["topic"], sides, raw["reading"], raw["affects"])


def code(raw: Raw) -> Code:
    return Code(raw["id"], raw["means"], raw["example"], raw["mend"])


def aliases(raw: Raw) -> Aliases:
    def of(kind: str) -> tuple[Alias, ...]:
        return tuple(Alias(name, tuple(means)) for name, means in raw[kind].items())

    return Aliases(of("models"), of("modes"), of("params"), of("values"), of("members"))


def model(raw: Raw, documentation_url: str) -> Model:
    sources = {"docs": documentation_url, "page": raw.get("page", documentation_url)}
    return Model(
        id=raw["id"],
        name=raw["name"],
        family=raw["family"],
        vendor=raw["vendor"],
        kind=raw["kind"],
        source=sources[raw["source"]],
        modes_order=Evidence(raw["modes_order"]),
        modes=tuple(_mode(mode, sources) for mode in raw["modes"]),
        price=_price(raw["price"], sources) if "price" in raw else None,
    )


def _price(raw: Raw, sources: dict[str, str]) -> Price:
    evidence = Evidence(raw["evidence"])
    return Price(
        unit=raw["unit"],
        quantity=raw.get("quantity"),
        quantity_evidence=Evidence(raw.get("quantity_evidence", evidence)),
        evidence=evidence,
        source=sources[raw["source"]],
        rates=tuple(
            Rate(
                when=tuple(rate["when"].items()),
                low=Decimal(rate.get("low", rate.get("usd"))),
                high=Decimal(rate.get("high", rate.get("usd"))),
                evidence=Evidence(rate.get("evidence", evidence)),
            )
            for rate in raw["rates"]
        ),
        inferred=tuple(raw.get("inferred", ())),
        longest_by=raw.get("longest", {}).get("by"),
        longest=tuple(raw.get("longest", {}).get("of", {}).items()),
        gaps=tuple(raw.get("gaps", ())),
        note=raw.get("note"),
    )


def _mode(raw: Raw, sources: dict[str, str]) -> Mode:
    sources = {**sources, "upstream": f"upstream {raw.get('upstream', 'endpoint')}"}
    return Mode(
        id=raw["id"],
        title=raw["title"],
        evidence=Evidence(raw["evidence"]),
        source=sources[raw["source"]],
        upstream=raw.get("upstream"),
        on_wire=raw.get("on_wire", True),
        params=tuple(_param(name, row, sources) for name, row in raw["params"].items()),
    )


def _param(name: str, row: Raw, sources: dict[str, str]) -> Param:
    return Param(
        name=name,
        type=_type(row),
        required=row.get("required", False),
        default=cast("Value | None", row.get("default")),
        evidence=Evidence(row["evidence"]),
        source=str(sources.get(row["source"], row["source"])),
        inferred=tuple(row.get("inferred", ())),
        gaps=tuple(row.get("gaps", {}).items()),
        note=row.get("note"),
    )


def _type(row: Raw) -> Type:
    match row["type"]:
        case "text":
            return Text()
        case "flag":
            return Flag()
        case "choice":
            return Choice(tuple(row["of"]))
        case "number":
            return Number(row.get("min"), row.get("max"), row.get("unit"))
        case "media":
            return Media(row["media"])
        case "list":
            return ListOf(Media(row["media"]), row.get("min_items"), row.get("max_items"))
        case "size":
            return Size(tuple(row["presets"]), row["multiple_of"], row["min"], row["max"], row["max_ratio"])
        case other:
            raise ValueError(other)
