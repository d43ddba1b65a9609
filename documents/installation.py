"""The tables of docs/operations.md: every setting, from the settings themselves."""

from pathlib import Path

from backend.settings import Settings
from documents.passages import table


def settings() -> str:
    """Every `MEMBRANA_` variable, its default and what it is for."""
    rows = []
    for name, field in Settings.model_fields.items():
        default = field.get_default(call_default_factory=True)
        shown = str(default) if isinstance(default, Path) else f"{default}"
        rows.append(
            [f"`MEMBRANA_{name.upper()}`", f"`{shown}`" if shown else "", str(field.description)]
        )
    return table(["variable", "default", "what"], rows)
