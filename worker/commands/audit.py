"""`membrana audit`: is the trail of what people did still whole? Where does it end?"""

import json
from pathlib import Path
from typing import Annotated

import typer
from pydantic import ValidationError

from backend.cli import AlreadyTold, app, complain, say
from backend.kit import signing_key
from backend.kit.db.session import get_database
from backend.people.audit import service, verification
from backend.people.audit.verification import Head
from backend.settings import get_settings
from worker.commands.options import OptionRefused, Refused

audit = typer.Typer(no_args_is_help=True, help="The audit trail: its check, its signed end.")
app.add_typer(audit, name="audit")


@audit.command("verify")
def verify(
    head: Annotated[
        Path | None,
        typer.Option(exists=True, dir_okay=False, help="A head that was kept elsewhere."),
    ] = None,
) -> None:
    """Read the whole audit trail: is any entry altered, removed, added or in another order?

    Prints JSON; what is wrong is also told in words. Exit code 1 if anything is.
    """
    settings = get_settings()
    copy = None if head is None else head_in(head)
    keys = signing_key.trusted(settings.signing_key_file)
    with get_database(settings.sqlalchemy_url).reading() as session:
        verified = verification.verify(session, keys, copy)
    valid = not verified.findings
    findings = verified.findings + ([f"And {verified.more} more."] if verified.more else [])
    say(
        json.dumps(
            {"valid": valid, "entries": verified.entries, "findings": findings}, ensure_ascii=False
        )
    )
    for sentence in findings:
        complain(sentence)
    if not valid:
        raise AlreadyTold("The audit trail is not whole.")


def head_in(file: Path) -> Head:
    try:
        return Head.model_validate_json(file.read_bytes())
    except ValidationError:
        raise OptionRefused(
            f"{file} is no head of an audit trail; `membrana audit head` prints one."
        ) from None


@audit.command("head")
def print_head() -> None:
    """Print the signed end of the trail as JSON, to be kept where nobody here can change it."""
    with get_database(get_settings().sqlalchemy_url).reading() as session:
        ending = verification.head_of(session)
    if ending is None:
        raise Refused("The row that says where the trail ends is gone.", code="audit_head_gone")
    say(ending.model_dump_json(by_alias=True))


@audit.command("renew-key")
def renew_key() -> None:
    """Sign with a new key from now on: the file of the old one was lost, or others have read it.

    What the old key signed stays valid as long as its public half stands in the list beside it.
    """
    settings = get_settings()
    path = settings.signing_key_file
    if path.exists():
        path.rename(path.with_name(f"{path.name}.{signing_key.load(path).name}"))
    key = signing_key.create(path)
    with get_database(settings.sqlalchemy_url).writing() as session:
        former = service.renew_key(session)
    say(f"Signed with the key {key.name} from now on; before: {former or 'none'}.")
