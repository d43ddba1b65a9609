"""Holds answers to what the contract says of members that go out as they are stored."""

import json
from typing import Any, get_args, get_type_hints

from pydantic import BaseModel, TypeAdapter

from backend.kit.contract import Shown


def shown_by(model: type[BaseModel]) -> dict[str, Any]:
    """Return the shapes that a model declares for members that it passes on, by their names."""
    hints = get_type_hints(model, include_extras=True)
    return {
        name: note.shape
        for name, hint in hints.items()
        for part in (hint, *get_args(hint))
        for note in getattr(part, "__metadata__", ())
        if isinstance(note, Shown)
    }


def held(answer: dict[str, Any], model: type[BaseModel]) -> dict[str, Any]:
    """Return an answer after holding its passed-on members to their declared shapes."""
    for name, shape in shown_by(model).items():
        if answer[name] is not None:
            TypeAdapter(shape).validate_json(json.dumps(answer[name]), strict=True)
    return answer
