"""From the columns of an Arrow table to requests: which of them hold a request, and every row as one.

Here live no I/O and no rule about requests. Needs pyarrow, by the extra `files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from prospo.jsontext import parse
from prospo.problem import NotJSONError

if TYPE_CHECKING:
    import pyarrow as pa

WHOLE = ("request", "body", "json")
"""Columns that hold whole requests, the first of them that is there."""
MEMBERS = ("model", "mode", "params", "async", "webhook_url")
"""Columns that hold a member each."""


class ColumnsError(ValueError):
    """A table without a request in its rows; says what it has and what was expected."""


@dataclass(frozen=True, slots=True)
class Columns:
    """Where the rows of a table have their requests."""

    kind: Literal["text", "object", "members"]
    """JSON text or bytes; a struct or map that is the request; a column a member."""
    names: tuple[str, ...]


def find(schema: pa.Schema, column: str | None = None) -> Columns:
    """The columns that hold the requests: the one of that name, or the usual ones. Raises ColumnsError."""
    if column is None:
        column = next((name for name in WHOLE if name in schema.names), None)
    if column is None and {"model", "params"} <= set(schema.names):
        names = tuple(name for name in MEMBERS if name in schema.names)
        for name in names:
            _check(_type(schema, name), name)
        return Columns("members", names)
    if column is None:
        expected = f"{', '.join(WHOLE)}, or model and params, or the one that --column names"
        raise ColumnsError(f"no column of requests: expected {expected}; there are {_told(schema)}")
    if column not in schema.names:
        raise ColumnsError(f"no column {column!r}; there are {_told(schema)}")
    type = _type(schema, column)
    if _is_text(type):
        return Columns("text", (column,))
    if not (_is_struct(type) or _is_map(type)):
        raise ColumnsError(f"the column {column} is {type}, expected JSON as text or bytes, or a struct")
    _check(type, column)
    return Columns("object", (column,))


def requests(batch: pa.RecordBatch, columns: Columns) -> Iterator[Any]:
    """Every row as a request, in order: bytes of JSON, or its value.

    A null member of a struct is one that the request does not have, as Arrow knows no other way to say so; a null
    item of a list or of a map is null. Params as text are JSON. A row with text that is no UTF-8 is that text, as
    bytes, which is no request.
    """
    import pyarrow as pa

    arrays = [batch.column(batch.schema.get_field_index(name)) for name in columns.names]
    if columns.kind == "text":
        (array,) = map(_stored, arrays)
        plain = array.dictionary_decode() if isinstance(array, pa.DictionaryArray) else array
        yield from plain.cast(pa.large_binary()).to_pylist()
        return
    if columns.kind == "members":
        whole = pa.StructArray.from_arrays(arrays, names=list(columns.names))
    else:
        (whole,) = map(_stored, arrays)
    cleaned = _cleaner(whole.type) or (lambda value: value)
    is_text = columns.kind == "members" and _is_text(_type(batch.schema, "params"))
    for value in _values(whole):
        row = value if isinstance(value, bytes) else cleaned(value)
        if is_text and isinstance(row, dict) and "params" in row:
            row["params"] = _parsed(row["params"])
        yield row


def _values(array: pa.Array) -> Iterator[Any]:
    try:
        yield from array.to_pylist()
    except UnicodeDecodeError:
        for scalar in array:
            try:
                yield scalar.as_py()
            except UnicodeDecodeError as error:
                yield error.object


def _parsed(text: str) -> Any:
    try:
        return parse(text.encode())
    except NotJSONError:
        return text


def _cleaner(type: pa.DataType) -> Callable[[Any], Any] | None:
    """What makes JSON of a Python value of that type; None where it is JSON as it is."""
    if _is_map(type):
        inner = _cleaner(type.item_type) or (lambda value: value)
        return lambda pairs: None if pairs is None else {key: inner(value) for key, value in pairs}
    if _is_struct(type):
        inners = {field.name: _cleaner(field.type) for field in type}

        def members(value: dict[str, Any] | None) -> dict[str, Any] | None:
            if value is None:
                return None
            return {
                name: inner(value[name]) if inner else value[name]
                for name, inner in inners.items()
                if value[name] is not None
            }

        return members
    if _is_list(type):
        item = _cleaner(type.value_type)
        return item and (lambda values: None if values is None else [item(value) for value in values])
    return None


# Types


def _type(schema: pa.Schema, name: str) -> pa.DataType:
    """Raises ColumnsError where several columns have the name."""
    if len(schema.get_all_field_indices(name)) > 1:
        raise ColumnsError(f"several columns are called {name}, expected one")
    return _bare(schema.field(name).type)


def _bare(type: pa.DataType) -> pa.DataType:
    """The type of what is stored."""
    import pyarrow as pa

    while isinstance(type, pa.BaseExtensionType | pa.DictionaryType):
        type = type.storage_type if isinstance(type, pa.BaseExtensionType) else type.value_type
    return type


def _stored(array: Any) -> Any:
    import pyarrow as pa

    return array.storage if isinstance(array, pa.ExtensionArray) else array


def _is_text(type: pa.DataType) -> bool:
    from pyarrow import types

    kinds = ("string", "large_string", "string_view")
    return _is_bytes(type) or any(getattr(types, f"is_{kind}")(type) for kind in kinds)


def _is_bytes(type: pa.DataType) -> bool:
    from pyarrow import types

    return any(getattr(types, f"is_{kind}")(type) for kind in ("binary", "large_binary", "binary_view"))


def _is_struct(type: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_struct(type))


def _is_map(type: pa.DataType) -> bool:
    from pyarrow import types

    return bool(types.is_map(type))


def _is_list(type: pa.DataType) -> bool:
    from pyarrow import types

    kinds = ("list", "large_list", "fixed_size_list", "list_view", "large_list_view")
    return any(getattr(types, f"is_{kind}")(type) for kind in kinds)


def _check(type: pa.DataType, where: str) -> None:
    """Raises ColumnsError for what JSON has no value for."""
    from pyarrow import types

    type = _bare(type)
    if _is_struct(type):
        names = [field.name for field in type]
        if len(set(names)) < len(names):
            raise ColumnsError(f"the column {where} has two members of one name")
        for field in type:
            _check(field.type, f"{where}.{field.name}")
    elif _is_map(type):
        if _is_bytes(_bare(type.key_type)) or not _is_text(_bare(type.key_type)):
            raise ColumnsError(f"the keys of the column {where} are {type.key_type}, expected strings")
        _check(type.item_type, f"{where}.*")
    elif _is_list(type):
        _check(type.value_type, f"{where}.*")
    elif not (
        types.is_null(type)
        or types.is_boolean(type)
        or types.is_integer(type)
        or types.is_floating(type)
        or (_is_text(type) and not _is_bytes(type))
    ):
        raise ColumnsError(f"the column {where} is {type}, which is no JSON; expected text, a number or a boolean")


def _told(schema: pa.Schema) -> str:
    return ", ".join(schema.names) or "none"
