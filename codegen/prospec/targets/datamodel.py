"""How datamodel-code-generator is asked: one module out of the schemas of a document, the same bytes on every machine.

Here lives no schema and no choice of what a model is like.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ..emit import HEADER


def module(schemas: Mapping[str, Any], **options: Any) -> str:
    """A Python module with a pydantic model for each schema. `options` are those of the generator."""
    from datamodel_code_generator import generate
    from datamodel_code_generator.enums import DataModelType, InputFileType
    from datamodel_code_generator.format import Formatter, PythonVersion

    info = {"title": "prospo", "version": "1"}
    document = {"openapi": "3.1.0", "info": info, "paths": {}, "components": {"schemas": _printable(schemas)}}
    made = generate(
        json.dumps(document),
        input_file_type=InputFileType.OpenAPI,
        output_model_type=DataModelType.PydanticV2BaseModel,
        target_python_version=PythonVersion.PY_311,
        custom_file_header=f"# {HEADER}\n",
        disable_timestamp=True,
        formatters=[Formatter.BUILTIN],
        settings_path=Path("/"),  # not the pyproject.toml of whoever compiles
        use_schema_description=True,
        use_field_description=True,
        use_union_operator=True,
        **options,
    )
    if not isinstance(made, str):
        raise TypeError("datamodel-code-generator was expected to make one module")
    return made


def _printable(value: Any) -> Any:
    """The same document, with what cannot be printed escaped in every description: they become docstrings.

    The generator drops blanks at the end, and a docstring of blanks alone: they are escaped as well.
    """
    match value:
        case dict():
            shown = {name: _printable(item) for name, item in value.items()}
            if isinstance(value.get("description"), str):
                text = value["description"]
                kept = text.rstrip(" ")
                blanks = "\\x20" * (len(text) - len(kept))
                shown["description"] = (
                    "".join(each if each.isprintable() else repr(each)[1:-1] for each in kept) + blanks
                )
            return shown
        case list():
            return [_printable(item) for item in value]
        case _:
            return value
