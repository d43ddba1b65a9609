"""`membrana`: run the service, look after it, and talk to it from a shell.

Exit codes: 0 done, 1 the work failed, 2 wrong use.
"""

import gc
import json
import os
import re
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from pydantic import ValidationError

from backend.kit.errors import WRONG_USE, MembranaError
from backend.settings import Settings, get_settings

if TYPE_CHECKING:
    from backend.client import Client
    from backend.people.users.tables import Role

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
SECRET = re.compile(r"(?<=:)[^:/@]+(?=@)")
"""The password inside a URL."""


class WrongSetting(MembranaError):
    code, title, exit_status = "wrong_setting", "A setting is wrong", WRONG_USE


class Internal(MembranaError):
    """What nobody foresaw; MEMBRANA_TRACE=1 lets the trace through."""


class AlreadyTold(MembranaError):
    """Something failed, and was named where it did: only the exit status is left."""

    code, title = "told", "Not all of it could be done"


@app.command()
def up(
    data: Annotated[Path | None, typer.Option(help="Folder of everything that is kept.")] = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
    *,
    demo: Annotated[bool, typer.Option("--demo", help="Begin with a synthetic slide.")] = False,
) -> None:
    """Run everything on this machine: database, broker, API, workers, annotator."""
    private()
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

    private()
    # a start makes a hundred thousand objects and no garbage: looking for it is a tenth of the time
    gc.disable()
    from backend.app import create_app
    from backend.connections import BoundedConnection, raise_file_limit
    from backend.logging import configure_logging

    configure_logging()
    raise_file_limit()
    settings = get_settings()
    require_at_start(settings)
    service = create_app(settings)
    gc.freeze()
    gc.enable()
    uvicorn.run(
        service,
        host=settings.host,
        port=settings.port,
        log_config=None,
        access_log=False,
        http=BoundedConnection,
        ws="none",
        # uvicorn believes every program on this machine otherwise
        proxy_headers=bool(settings.trusted_proxies),
        forwarded_allow_ips=settings.trusted_proxies,
        timeout_graceful_shutdown=3,
        # longer than clients and proxies keep a quiet connection: the end that closes it first is
        # theirs, and no request is ever sent into one that is closing
        timeout_keep_alive=75,
    )


@app.command()
def worker(queue: Annotated[str, typer.Argument(help="interactive, gpu or cpu")]) -> None:
    """Run the worker of one queue."""
    from backend.job_kinds import Queue
    from backend.supervision import worker_command

    if queue not in list(Queue):
        raise typer.BadParameter(f"{queue} is no queue; choose {', '.join(Queue)}")
    private()
    require_at_start(get_settings())
    command = worker_command(queue)
    os.execv(command[0], command)  # noqa: S606 - our own interpreter


def require_at_start(settings: Settings) -> None:
    """Refuse to start beside patches of another grid, or without the key of the audit trail."""
    from backend.kit.db.session import get_database
    from backend.people.audit import service as audit
    from backend.slides.patches import installed_grid

    database = get_database(settings.sqlalchemy_url)
    installed_grid.require_at_start(database, settings.analysis_mpp)
    audit.require_key_at_start(database)


@app.command("settings")
def list_settings() -> None:
    """List every MEMBRANA_ variable: what it is for and what it is now."""
    now = get_settings()
    for field, info in Settings.model_fields.items():
        value = SECRET.sub("(hidden)", str(getattr(now, field)))
        if "password" in field and value:
            value = "(hidden)"
        say(f"MEMBRANA_{field.upper()}={value}\n    {info.description}")


@db.command("upgrade")
def upgrade_database() -> None:
    """Bring the database to this version's tables; on an empty one make the user `admin`."""
    from backend.kit.db.migrate import upgrade
    from backend.kit.db.session import get_database
    from backend.people.audit import service as audit
    from backend.people.users import service as auth

    private()
    settings = get_settings()
    settings.data.mkdir(parents=True, exist_ok=True)
    upgrade()
    with get_database(settings.sqlalchemy_url).writing() as session:
        link = auth.first_start(session, settings.admin_password)
        audit.sign_first(session)
    if link is not None:
        say(f"Sign in once as admin with /?sign_in={link}")


@users.command("add")
def add_user(
    name: str,
    role: Annotated[str, typer.Option(help="viewer, pathologist or admin")] = "pathologist",
    password: Annotated[
        str, typer.Option(envvar="MEMBRANA_NEW_PASSWORD", help="Empty: a one-time link is made.")
    ] = "",
    full_name: Annotated[
        str, typer.Option(help="As it is printed under what the person signs.")
    ] = "",
) -> None:
    """Add a person; without a password print the link that signs them in once."""
    from backend.embedded import address
    from backend.kit.db.session import get_database
    from backend.people.users import service as auth

    settings = get_settings()
    with get_database(settings.sqlalchemy_url).writing() as session:
        user = auth.create_user(
            session,
            name=name,
            role=known_role(role),
            password=password or None,
            full_name=full_name.strip() or None,
        )
        link = None if password else auth.create_sign_in_link(session, user)
    if link is not None:
        say(f"{address(settings)}/?sign_in={link}")


@users.command("password")
def reset_password(name: str) -> None:
    """Give a person another password and print it; they must change it at the next sign-in."""
    from backend.kit.db.session import get_database
    from backend.people.audit import service as audit
    from backend.people.users import service as auth

    password = auth.new_password()
    password_hash = auth.hashed(password)
    with get_database(get_settings().sqlalchemy_url).writing() as session:
        user = auth.get_user_named(session, name)
        auth.set_password(session, user, password_hash, by_another=True)
        audit.record(session, None, "reset_password", "user", user.id)
    say(password)


@tokens.command("create")
def create_token(
    name: str,
    role: Annotated[str, typer.Option()] = "pathologist",
    scope: Annotated[
        list[str] | None,
        typer.Option(help="What it may be used for, several times; else all its role allows."),
    ] = None,
    days: Annotated[
        int | None, typer.Option(min=1, max=3650, help="After so many days it is over.")
    ] = None,
) -> None:
    """Make an API token and print it, nothing else."""
    from datetime import timedelta

    from backend.kit.db.base import now
    from backend.kit.db.session import get_database
    from backend.people.users import service as auth
    from backend.people.users.scopes import Scope

    if unknown := set(scope or ()) - set(Scope):
        raise typer.BadParameter(f"{min(unknown)} is no scope; choose {', '.join(Scope)}")
    with get_database(get_settings().sqlalchemy_url).writing() as session:
        token = auth.create_program_token(
            session,
            name=name,
            role=known_role(role),
            scopes=scope or None,
            expires_at=now() + timedelta(days=days) if days else None,
        )
    say(token)


def known_role(word: str) -> "Role":
    from backend.people.users.tables import Role

    if word not in list(Role):
        raise typer.BadParameter(f"{word} is no role; choose {', '.join(Role)}")
    return Role(word)


def connect() -> "Client":
    """Return a client of the service that MEMBRANA_URL and MEMBRANA_TOKEN name."""
    from backend.client import Client

    return Client.from_environment()


@slides.command("upload")
def upload_slides(
    files: Annotated[list[Path], typer.Argument(exists=True, dir_okay=False, readable=True)],
    stain: str = "HER2",
    case_id: str = "",
) -> None:
    """Upload slides; prints each slide's id, state and name. One that is refused stops no other."""
    from backend.progress import bar

    refused = 0
    metadata = {"stain": stain} | ({"case_id": case_id} if case_id else {})
    with connect() as client:
        for file in files:
            try:
                with bar(file.name, file.stat().st_size) as show:
                    slide = client.upload(file, progress=show, **metadata)
                say(f"{slide['id']} {slide['state']} {slide['name']}")
                if slide["duplicate"]:
                    complain(f"{file.name}: {slide['duplicate']['detail']}")
            except MembranaError as error:
                if error.problem_code in {"no_service", "not_signed_in"}:
                    raise
                complain(f"{file.name}: {error.detail} ({error.problem_code})")
                refused += 1
    if refused:
        raise AlreadyTold(f"{refused} of {len(files)} files were not uploaded.")


@slides.command("list")
def list_slides() -> None:
    """List slides: id, state, patches, name."""
    with connect() as client:
        for slide in client.all("/slides"):
            say(f"{slide['id']} {slide['state']} {slide['patch_count']} {slide['name']}")


@slides.command("delete")
def delete_slides(slide_ids: list[str]) -> None:
    """Delete slides with everything made from them."""
    with connect() as client:
        for slide_id in slide_ids:
            client.ask("DELETE", f"/slides/{slide_id}")


@rounds.command("start")
def start_round() -> None:
    """Start a round now, or say which one is running; prints its id."""
    with connect() as client:
        say(client.ask("POST", "/rounds").json()["round"]["id"])


@rounds.command("show")
def show_round(
    round_id: Annotated[str, typer.Argument(help="A round's id; the newest if left out.")] = "",
) -> None:
    """Show a round as JSON."""
    with connect() as client:
        say(json.dumps(client.get(f"/rounds/{round_id}") if round_id else client.newest_round()))


def private() -> None:
    """Let files that are made from now on be this account's alone; processes started inherit it."""
    os.umask(0o077)


def say(line: str) -> None:
    sys.stdout.write(line + "\n")


def complain(line: str) -> None:
    sys.stderr.write(line + "\n")


def main() -> None:
    """Run a command; an error is one sentence with its code, never a trace."""
    try:
        app()
    except Exception as error:
        shown = as_coded(error)
        if isinstance(shown, Internal) and os.environ.get("MEMBRANA_TRACE"):
            raise
        hint = "; MEMBRANA_TRACE=1 shows where" if isinstance(shown, Internal) else ""
        if not isinstance(shown, AlreadyTold):
            complain(f"{shown.detail} ({shown.problem_code}{hint})")
        sys.exit(shown.exit_status)


def as_coded(error: Exception) -> MembranaError:
    """Return an error as people are told it: its class knows the exit status."""
    if isinstance(error, MembranaError):
        return error
    if isinstance(error, ValidationError):
        return wrong_setting(error)
    return Internal(sentence_of(error))


def wrong_setting(error: ValidationError) -> WrongSetting:
    from backend.kit.plain_words import described

    first = error.errors()[0]
    name = f"{error.title}.{first['loc'][0]}" if first["loc"] else error.title
    if error.title == "Settings":
        name = f"MEMBRANA_{str(first['loc'][0]).upper()}"
    message = described([{**first, "loc": (name,)}])[0]["message"]
    for beginning in (f"“{name}”: ", f"“{name}” "):
        message = message.removeprefix(beginning)
    return WrongSetting(f"{name}: {message}")


def sentence_of(error: Exception) -> str:
    """Return an error's first line; the database's own words come without the statement."""
    cause = getattr(error, "orig", None) or error
    line = (str(cause).strip() or type(cause).__name__).splitlines()[0]
    if "no such table" in line or "does not exist" in line:
        return "The database has no tables yet: run `membrana db upgrade`."
    return line


if __name__ == "__main__":
    main()
