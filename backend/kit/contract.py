"""What the contract says of members that go out as they are stored."""

from typing import Any

from pydantic import BaseModel, ConfigDict, GetJsonSchemaHandler, TypeAdapter
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema
from pydantic_core.core_schema import definitions_schema


def require_all(schema: dict[str, Any]) -> None:
    schema["required"] = list(schema["properties"])


FULL = ConfigDict(json_schema_extra=require_all)
"""Of an answer: a member with a default is there all the same, so the contract says required."""
OF_ROW = ConfigDict(from_attributes=True)
"""Of an answer that shows a row: `model_validate(row)` takes its members by their names."""


class Shown:
    """Describe a member by `shape`; the stored value is neither checked nor changed by it."""

    def __init__(self, shape: Any) -> None:
        self.shape = shape

    def __get_pydantic_json_schema__(
        self, core_schema: CoreSchema, handler: GetJsonSchemaHandler
    ) -> JsonSchemaValue:
        # as definitions, so that a shape with a name is a schema of its own
        return handler(definitions_schema(TypeAdapter(self.shape).core_schema, []))


class Failure(BaseModel, extra="allow"):
    """Why something came to nothing; some codes add members."""

    code: str
    detail: str
