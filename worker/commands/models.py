"""`membrana models card`: what a model learned from, its licences, what it was measured to do."""

import json
from importlib.resources import files
from typing import Any

import typer

from backend.cli import app, connect, say
from backend.kit.errors import NotFound

models = typer.Typer(no_args_is_help=True, help="What the models are.")
app.add_typer(models, name="models")
STARTER, NUCLEI = "starter", "nuclei"


@models.command()
def card(name: str) -> None:
    """Print the card of a model as JSON: data, licences, figures, limits.

    `starter` and `nuclei` are those that the package brings, read without a service; any other
    name is that of a model version of the running one.
    """
    shown = packaged(name) or of_service(name)
    say(json.dumps(shown, indent=2, ensure_ascii=False))


def packaged(name: str) -> dict[str, Any] | None:
    """Return the card of a model that the package brings; None for another name."""
    from models import starter

    path = starter.FOLDER / starter.CARD
    document: dict[str, Any] = json.loads(path.read_text())
    if name in {STARTER, document["name"]}:
        return document
    if name == NUCLEI:
        file = files("models") / "nuclei" / "weights" / "nuclei.json"
        nuclei: dict[str, Any] = json.loads(file.read_text())
        return nuclei
    return None


def of_service(name: str) -> dict[str, Any]:
    """Return what the service says of a model version; raise NotFound."""
    with connect() as client:
        cursor = None
        while True:
            page = client.get(
                "/model-versions", limit=1000, **({"cursor": cursor} if cursor else {})
            )
            for version in page["items"]:
                if name in {version["name"], version["id"]}:
                    found: dict[str, Any] = version
                    return found
            cursor = page["next_cursor"]
            if cursor is None:
                raise NotFound(f"There is no model version {name}.", code="model_version_not_found")
