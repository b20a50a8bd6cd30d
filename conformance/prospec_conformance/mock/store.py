"""The mock's state in a SQLite file: what is written here is there after any end of the process.

An entity is a row, its fields are JSON. Here live no behaviour of the API and no decision on when to write.
"""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any, assert_never

from prospec.ir import Spec

from .state import Account, Attempt, Changed, Delivery, Entity, Generation, Kept, StoreError, Upload

APPLICATION_ID = 0x70727370
"""prsp: tells a file of ours from any other database."""
VERSION = 1

Row = tuple[str, str, str]
"""Kind, id, and the fields as JSON."""


class Store:
    """One file, of this process alone."""

    def __init__(self, path: Path) -> None:
        """Opens or makes the file. Raises StoreError when it is another's, or of no use."""
        self._path = path
        try:
            # The URLs of webhooks and outputs in it are nobody else's.
            path.touch(0o600)
            # The mock's event loop is one thread, but not the one that made it.
            self._database = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=0)
        except (sqlite3.Error, OSError) as error:
            raise self._error("cannot keep the mock's state", error) from None
        try:
            self._open()
        except sqlite3.Error as error:
            self.close()
            raise self._error("cannot keep the mock's state", error) from None

    def _open(self) -> None:
        run = self._database.execute
        run("PRAGMA locking_mode = EXCLUSIVE")
        (made_by,), (version,) = run("PRAGMA application_id").fetchone(), run("PRAGMA user_version").fetchone()
        is_ours = (made_by, version) == (APPLICATION_ID, VERSION)
        if not is_ours and run("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
            raise sqlite3.DatabaseError("it is a database of something else, or of another version of the mock")
        run("PRAGMA journal_mode = WAL")
        # A process that is killed loses nothing that it has written; a machine that fails might.
        run("PRAGMA synchronous = NORMAL")
        run("BEGIN EXCLUSIVE")
        run(
            "CREATE TABLE IF NOT EXISTS entity"
            " (kind TEXT, id TEXT, fields TEXT NOT NULL, PRIMARY KEY (kind, id)) WITHOUT ROWID"
        )
        run(f"PRAGMA application_id = {APPLICATION_ID}")
        run(f"PRAGMA user_version = {VERSION}")
        run("COMMIT")

    def close(self) -> None:
        self._database.close()

    def read(self, spec: Spec, accounts: Mapping[str, Account]) -> Kept:
        """What is kept. The accounts, which there are anyway, are filled in. Raises StoreError."""
        try:
            found = _Found(
                [(kind, id, json.loads(fields)) for kind, id, fields in self._database.execute("SELECT * FROM entity")]
            )
            for name, fields in found.of("account"):
                accounts[name].balance = Decimal(fields["balance"])
                accounts[name].window_ends, accounts[name].requests = fields["window_ends"], fields["requests"]
            going = dict(found.of("mock")).get("going", {"ahead_s": 0.0, "counts": {}})
            generations = {id: _generation(id, fields, spec, accounts) for id, fields in found.of("generation")}
            deliveries = [_delivery(generations[id], fields) for id, fields in found.of("delivery")]
            return Kept(
                generations=tuple(generations.values()),
                uploads=tuple(_upload(id, fields, accounts) for id, fields in found.of("upload")),
                deliveries=tuple(sorted(deliveries, key=lambda each: each.number)),
                ahead_s=going["ahead_s"],
                counts=going["counts"],
            )
        except (sqlite3.Error, ValueError, ArithmeticError, KeyError, TypeError) as error:
            raise self._error("cannot be read as the mock's state", error) from None

    def write(self, changed: Changed) -> None:
        """Raises StoreError, and then nothing of it is written."""
        going = json.dumps({"ahead_s": changed.ahead_s, "counts": dict(changed.counts)})
        rows = [*map(_row, changed.entities), ("mock", "going", going)]
        gone = [("delivery", each.generation.id) for each in changed.forgotten]
        self._run(
            ("INSERT INTO entity VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET fields = excluded.fields", rows),
            ("DELETE FROM entity WHERE kind = ? AND id = ?", gone),
        )

    def clear(self) -> None:
        """Forgets everything. Raises StoreError."""
        self._run(("DELETE FROM entity", [()]))

    def _run(self, *statements: tuple[str, list[Any]]) -> None:
        try:
            self._database.execute("BEGIN")
            try:
                for statement, rows in statements:
                    self._database.executemany(statement, rows)
                self._database.execute("COMMIT")
            except sqlite3.Error:
                self._database.execute("ROLLBACK")
                raise
        except sqlite3.Error as error:
            raise self._error("cannot be written", error) from None

    def _error(self, what: str, error: Exception) -> StoreError:
        if isinstance(error, sqlite3.OperationalError) and "locked" in str(error):
            return StoreError(f"{self._path} {what}: another mock has it open")
        reason = f"it lacks or holds {error}" if isinstance(error, KeyError) else error
        return StoreError(f"{self._path} {what}: {reason}; name another file, or remove it to begin anew")


@dataclass(frozen=True)
class _Found:
    rows: list[tuple[str, str, dict[str, Any]]]

    def of(self, kind: str) -> Iterator[tuple[str, dict[str, Any]]]:
        return ((id, fields) for of_kind, id, fields in self.rows if of_kind == kind)


def _row(entity: Entity) -> Row:
    match entity:
        case Account():
            kind, id = "account", entity.name
            fields: dict[str, Any] = {
                "balance": str(entity.balance),
                "window_ends": entity.window_ends,
                "requests": entity.requests,
            }
        case Generation():
            kind, id = "generation", entity.id
            fields = {
                "account": entity.account.name,
                "model": entity.model.id,
                "mode": entity.mode.id,
                "cost": str(entity.cost),
                "fails": entity.fails,
                "started": entity.started,
                "ends": entity.ends,
                "download": entity.download,
                "params": dict(entity.params),
                "base_url": entity.base_url,
                "ended": entity.ended,
            }
        case Upload():
            kind, id = "upload", entity.token
            fields = {
                "account": entity.account.name,
                "content_type": entity.content_type,
                "max_bytes": entity.max_bytes,
                "expires": entity.expires,
                "done": entity.done,
            }
        case Delivery():
            kind, id = "delivery", entity.generation.id
            fields = {
                "url": entity.url,
                "telling": entity.telling,
                "due": entity.due,
                "state": entity.state,
                "number": entity.number,
                "body": entity.body.decode(),
                "climbed": entity.climbed,
                "attempts": [[each.at, each.status] for each in entity.attempts],
            }
        case _:
            assert_never(entity)
    return kind, id, json.dumps(fields)


def _generation(id: str, fields: dict[str, Any], spec: Spec, accounts: Mapping[str, Account]) -> Generation:
    model = spec.model(fields["model"])
    mode = model.mode(fields["mode"]) if model else None
    if model is None or mode is None:
        raise ValueError(f"it has a generation of {fields['model']} {fields['mode']}, which the catalog has not")
    read = {
        "account": accounts[fields["account"]],
        "model": model,
        "mode": mode,
        "cost": Decimal(fields["cost"]),
    }
    return Generation(id, **(fields | read))


def _upload(id: str, fields: dict[str, Any], accounts: Mapping[str, Account]) -> Upload:
    read: dict[str, Any] = {"account": accounts[fields["account"]]}
    return Upload(id, **(fields | read))


def _delivery(generation: Generation, fields: dict[str, Any]) -> Delivery:
    read = {"body": fields["body"].encode(), "attempts": [Attempt(*each) for each in fields["attempts"]]}
    return Delivery(generation, **(fields | read))
