"""Everything that pydantic says against what was sent, as a sentence that a person understands."""

from collections.abc import Iterable, Mapping, Sequence
from types import MappingProxyType
from typing import Any

from pydantic_core import ErrorDetails

Place = Sequence[int | str]
FIELDS: Mapping[str, str] = MappingProxyType(
    {
        "mpp": "The pixel size",
        "case_id": "The case",
        "block": "The block",
        "stain": "The stain",
        "username": "The user's name",
        "full_name": "The full name",
        "password": "The password",
        "role": "The role",
        "reason": "The reason",
        "score": "The category",
        "comment": "The comment",
        "protocol": "The protocol",
        "gap": "What unnamed patterns count as",
        "limit": "The number of items asked for",
        "cursor": "The place to go on from",
        "name": "The name",
    }
)
"""Fields that people fill in; others are called by their names in the contract."""
SIMPLE: Mapping[str, str] = MappingProxyType(
    {
        "missing": "is missing",
        "extra_forbidden": "is not known here",
        "string_type": "must be text",
        "string_pattern_mismatch": "holds characters that are not allowed here",
        "string_unicode": "is no valid text",
        "int_type": "must be a whole number",
        "int_parsing": "must be a whole number",
        "int_parsing_size": "is too large a number",
        "int_from_float": "must be a whole number",
        "float_type": "must be a number",
        "float_parsing": "must be a number",
        "finite_number": "must be a finite number",
        "bool_type": "must be true or false",
        "bool_parsing": "must be true or false",
        "list_type": "must be a list",
        "dict_type": "must be a JSON object",
        "model_type": "must be a JSON object",
        "model_attributes_type": "must be a JSON object",
        "datetime_type": "must be a date and time, such as 2026-03-04T05:06:07Z",
        "datetime_parsing": "must be a date and time, such as 2026-03-04T05:06:07Z",
        "datetime_from_date_parsing": "must be a date and time, such as 2026-03-04T05:06:07Z",
        "timezone_aware": "must be a date and time with its zone, such as 2026-03-04T05:06:07Z",
        "none_required": "must be left out",
    }
)
WITH_LIMITS: Mapping[str, str] = MappingProxyType(
    {
        "greater_than": "must be more than {gt}",
        "greater_than_equal": "must be at least {ge}",
        "less_than": "must be less than {lt}",
        "less_than_equal": "must be at most {le}",
        "literal_error": "must be {expected}",
        "enum": "must be {expected}",
        "string_too_long": "has more than {max_length} letters",
        "too_long": "has more than {max_length} entries",
    }
)
PARTS = frozenset({"body", "query", "path", "header", "cookie"})
VALUE_ERROR = "Value error, "
NO_JSON = "What was sent is not valid JSON."


def described(errors: Iterable[ErrorDetails]) -> list[dict[str, str]]:
    """Return where and in what words each error is; of the ways to write one field the first."""
    complaints: dict[str, dict[str, str]] = {}
    for error in errors:
        where = ".".join(map(str, place_of(error["loc"], error["type"])))
        complaints.setdefault(where, {"where": where, "message": sentence(error)})
    return list(complaints.values())


def place_of(loc: Place, kind: str) -> Place:
    """Return where an error is; pydantic's names of a union's branches are no place."""
    if kind == "json_invalid":
        return loc[:1]
    return [each for each in loc if not is_branch(each)]


def is_branch(part: int | str) -> bool:
    return isinstance(part, str) and ("[" in part or part in {"str", "int", "float", "bool"})


def sentence(error: ErrorDetails) -> str:
    """Say what is wrong, at which field."""
    kind, message = error["type"], error["msg"]
    if kind == "json_invalid":
        return NO_JSON
    place = [each for each in place_of(error["loc"], kind) if each not in PARTS]
    if kind == "value_error":
        return own_words(place, message.removeprefix(VALUE_ERROR))
    if kind not in SIMPLE and kind not in WITH_LIMITS and "too_short" not in kind:
        return own_words(place, message)
    return f"{subject(place)} {predicate(kind, error.get('ctx', {}))}."


def own_words(place: Place, message: str) -> str:
    """Return a sentence of ours as it stands; a half one after the name of its field."""
    message = message.rstrip(".")
    if message[:1].isupper() or message[:1] == "`" or not place:
        return f"{message}."
    return f"{subject(place)}: {message}."


def predicate(kind: str, limits: Mapping[str, Any]) -> str:
    if kind in SIMPLE:
        return SIMPLE[kind]
    if "too_short" in kind:
        least = limits.get("min_length", 1)
        things = "letters" if kind.startswith("string") else "entries"
        return "is empty" if least == 1 else f"needs at least {least} {things}"
    return WITH_LIMITS[kind].format_map(limits)


def subject(place: Place) -> str:
    """Name a field: in words and as the contract calls it."""
    if not place:
        return "What was sent"
    *before, last = place
    if isinstance(last, int):
        return f"Entry {last + 1} of {subject_name(before)}"
    name = FIELDS.get(last)
    known = f"{name} ({last})" if name else f"“{last}”"
    numbers = [each for each in before if isinstance(each, int)]
    return f"{known} of entry {numbers[-1] + 1}" if numbers else known


def subject_name(place: Place) -> str:
    return f"“{place[-1]}”" if place else "the list"
