"""Options that several commands share are declared once, as a dataclass whose fields they are.

`Group` fields are annotated as a command's own parameters would be; a command takes the whole as
one parameter, and typer sees every field.
"""

import inspect
from collections.abc import Callable
from dataclasses import MISSING, fields, is_dataclass
from functools import wraps
from typing import Annotated, Any, ClassVar, get_args, get_origin, get_type_hints

from typer.models import OptionInfo


class Group:
    """Base of such dataclasses. `panel`: the heading under which --help shows its options."""

    panel: ClassVar[str]


def with_groups(command: Callable[..., None]) -> Callable[..., None]:
    """Return a command that takes the fields of its groups one by one, as typer wants them."""
    own = inspect.signature(command, eval_str=True).parameters.values()
    groups: dict[str, type[Group]] = {
        each.name: each.annotation for each in own if is_group(each.annotation)
    }
    spread: list[inspect.Parameter] = []
    for each in own:
        group = groups.get(each.name)
        spread += options_of(group) if group else [each]

    @wraps(command)
    def run(**given: Any) -> None:
        built = {
            name: group(**{field.name: given.pop(field.name) for field in fields_of(group)})
            for name, group in groups.items()
        }
        command(**given, **built)

    # by name alone: so a required option may follow one that can be left out
    named = [each.replace(kind=inspect.Parameter.KEYWORD_ONLY) for each in spread]
    run.__signature__ = inspect.Signature(named)  # type: ignore[attr-defined]
    run.__annotations__ = {each.name: each.annotation for each in named}
    return run


def is_group(annotation: Any) -> bool:
    return isinstance(annotation, type) and issubclass(annotation, Group)


def fields_of(group: type[Group]) -> Any:
    assert is_dataclass(group), "a group is a dataclass"
    return fields(group)


def options_of(group: type[Group]) -> list[inspect.Parameter]:
    """Return a group's fields as parameters, each under the group's heading."""
    hints = get_type_hints(group, include_extras=True)
    return [
        inspect.Parameter(
            field.name,
            inspect.Parameter.KEYWORD_ONLY,
            default=inspect.Parameter.empty if field.default is MISSING else field.default,
            annotation=under(group.panel, hints[field.name]),
        )
        for field in fields_of(group)
    ]


def under(panel: str, annotation: Any) -> Any:
    """Return an option's annotation with the heading that it stands under."""
    if get_origin(annotation) is not Annotated:
        raise TypeError(f"{annotation} is no option: annotate it with typer.Option")
    kind, option = get_args(annotation)
    if not isinstance(option, OptionInfo):
        raise TypeError(f"{option} is no option")
    option.rich_help_panel = panel
    return Annotated[kind, option]
