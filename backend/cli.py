"""`membrana`: run the service, look after it, and talk to it from a shell.

Exit codes: 0 done, 1 the work failed, 2 wrong use.
"""

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TaskID, TextColumn

from backend.client import Client
from backend.errors import MembranaError
from backend.settings import Settings, get_settings

if TYPE_CHECKING:
    from backend.auth.tables import Role

app = typer.Typer(
    no_args_is_help=True, add_completion=False, pretty_exceptions_enable=False, help=__doc__
)
db = typer.Typer(no_args_is_help=True, help="The database.")
users = typer.Typer(no_args_is_help=True, help="People.")
tokens = typer.Typer(no_args_is_help=True, help="API tokens.")
slides = typer.Typer(no_args_is_help=True, help="Slides of a running service.")
rounds = typer.Typer(no_args_is_help=True, help="Active-learning rounds of a running service.")
for name, group in (
    ("db", db),
    ("users", users),
    ("tokens", tokens),
    ("slides", slides),
    ("rounds", rounds),
):
    app.add_typer(group, name=name)
out = Console(soft_wrap=True, highlight=False)
err = Console(stderr=True, soft_wrap=True, highlight=False)


@app.command()
def up(
    data: Annotated[Path | None, typer.Option(help="Folder of everything that is kept.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Begin with a synthetic slide.")] = False,
) -> None:
    """Run everything on this machine: database, broker, API, workers, annotator."""
    for variable, value in (("DATA", data and data.resolve()), ("PORT", port), ("HOST", host)):
        if value is not None:
            os.environ[f"MEMBRANA_{variable}"] = str(value)
    get_settings.cache_clear()
    from backend import embedded

    embedded.up(get_settings(), demo=demo)


@app.command()
def api() -> None:
    """Run the API alone."""
    import uvicorn

    from backend.logging import configure_logging

    configure_logging()
    settings = get_settings()
    uvicorn.run(
        "backend.app:create_app",
        factory=True,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        timeout_graceful_shutdown=3,
    )


@app.command()
def worker(queue: Annotated[str, typer.Argument(help="interactive, gpu or cpu")]) -> None:
    """Run the worker of one queue."""
    from backend.embedded import worker_command

    command = worker_command(queue)
    os.execv(command[0], command)  # noqa: S606 - our own interpreter


@app.command("settings")
def list_settings() -> None:
    """List every MEMBRANA_ variable: what it is for and what it is now."""
    now = get_settings()
    for field, info in Settings.model_fields.items():
        value = "(hidden)" if "password" in field and getattr(now, field) else getattr(now, field)
        out.print(f"MEMBRANA_{field.upper()}={value}\n    {info.description}", markup=False)


@db.command("upgrade")
def upgrade_database() -> None:
    """Bring the database to this version's tables; on an empty one make the user `admin`."""
    from backend.auth import service as auth
    from backend.db.migrate import upgrade
    from backend.db.session import get_database

    settings = get_settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    upgrade()
    with get_database(settings.sqlalchemy_url).writing() as session:
        link = auth.first_start(session, settings.admin_password)
    if link is not None:
        out.print(f"Sign in once as admin with /?sign_in={link}", markup=False)


@users.command("add")
def add_user(
    name: str,
    role: Annotated[str, typer.Option(help="viewer, pathologist or admin")] = "pathologist",
    password: Annotated[
        str, typer.Option(prompt=True, hide_input=True, envvar="MEMBRANA_NEW_PASSWORD")
    ] = "",
) -> None:
    """Add a person."""
    from backend.auth import service as auth
    from backend.db.session import get_database

    with get_database(get_settings().sqlalchemy_url).writing() as session:
        auth.create_user(session, name=name, role=known_role(role), password=password)


@tokens.command("create")
def create_token(name: str, role: Annotated[str, typer.Option()] = "pathologist") -> None:
    """Make an API token and print it, nothing else."""
    from backend.auth import service as auth
    from backend.db.session import get_database

    with get_database(get_settings().sqlalchemy_url).writing() as session:
        token = auth.create_program_token(session, name=name, role=known_role(role))
    sys.stdout.write(token + "\n")


def known_role(word: str) -> "Role":
    from backend.auth.tables import Role

    if word not in list(Role):
        raise typer.BadParameter(f"{word} is no role; choose {', '.join(Role)}")
    return Role(word)


@slides.command("upload")
def upload_slides(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False)],
    stain: str = "HER2",
    case_id: str = "",
) -> None:
    """Upload slides; prints each slide's id and state."""
    metadata = {"stain": stain} | ({"case_id": case_id} if case_id else {})
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    with Client.from_environment() as client, Progress(*columns, console=err) as bars:
        for file in files:
            bar = bars.add_task(file.name, total=file.stat().st_size)

            def show(done: int, total: int, bar: TaskID = bar) -> None:
                bars.update(bar, completed=done, total=total)

            slide = client.upload(file, progress=show, **metadata)
            out.print(f"{slide['id']} {slide['state']}")


@slides.command("list")
def list_slides() -> None:
    """List slides: id, state, patches, name."""
    with Client.from_environment() as client:
        for slide in client.all("/slides"):
            line = f"{slide['id']} {slide['state']} {slide['patch_count']} {slide['name']}"
            out.print(line, markup=False)


@slides.command("delete")
def delete_slides(slide_ids: list[str]) -> None:
    """Delete slides with everything made from them."""
    with Client.from_environment() as client:
        for slide_id in slide_ids:
            client.ask("DELETE", f"/slides/{slide_id}")


@app.command()
def predict(slide_id: str) -> None:
    """Ask for the active model's proposals on a slide; prints the job's id."""
    with Client.from_environment() as client:
        out.print(client.ask("POST", f"/slides/{slide_id}/predictions", json={}).json()["id"])


@rounds.command("start")
def start_round() -> None:
    """Start a round now; prints its id."""
    with Client.from_environment() as client:
        out.print(client.ask("POST", "/rounds").json()["round"]["id"])


@rounds.command("show")
def show_round(round_id: str) -> None:
    """Show a round as JSON."""
    with Client.from_environment() as client:
        out.print_json(data=client.get(f"/rounds/{round_id}"))


def main() -> None:
    """Run a command; an error is one sentence with its code, never a trace."""
    try:
        app()
    except MembranaError as error:
        err.print(f"{error.detail} ({error.problem_code})", markup=False)
        sys.exit(1)


if __name__ == "__main__":
    main()
