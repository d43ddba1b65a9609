"""`membrana backup`, `restore` and `storage verify`: what keeps an installation from being lost."""

import json
from pathlib import Path
from typing import Annotated

import typer

from backend import storage_check
from backend.backup import service
from backend.cli import AlreadyTold, app, complain, private, say
from backend.kit.db.session import get_database
from backend.kit.storage.blobs import Blobs
from backend.progress import bar
from backend.settings import get_settings

storage = typer.Typer(no_args_is_help=True, help="The stored files.")
app.add_typer(storage, name="storage")


@app.command("backup")
def make_backup(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, on another disk.")],
) -> None:
    """Copy the whole installation into a folder while it runs: database, slides, masks, all files.

    The key that signs (MEMBRANA_SIGNING_KEY) is not in it. Prints JSON; exit code 1 if a file that
    the database names was missing or damaged.
    """
    private()
    with bar("copying", 1) as show:
        made = service.make(get_settings(), folder, progress=show)
    say(
        json.dumps(
            {
                "backup": str(folder),
                "files": made.files,
                "bytes": made.bytes,
                "missing": made.missing,
                "damaged": made.damaged,
            }
        )
    )
    for what in made.missing:
        complain(f"Not in the backup, as it is not on the disk: {what}.")
    for path in made.damaged:
        complain(f"Damaged before it was copied: {path}.")
    if made.missing or made.damaged:
        raise AlreadyTold("The installation itself is not whole: see `membrana storage verify`.")


@app.command("restore")
def restore_backup(
    folder: Annotated[Path, typer.Argument(exists=True, file_okay=False, help="A backup.")],
) -> None:
    """Make an empty installation (MEMBRANA_DATA, MEMBRANA_DATABASE_URL) what a backup was.

    Every file is checked. Afterwards bring the key back to MEMBRANA_SIGNING_KEY, then start.
    """
    private()
    settings = get_settings()
    with bar("bringing back", 1) as show:
        manifest = service.restore(settings, folder, progress=show)
    say(json.dumps({name: manifest[name] for name in ("made_at", "version", "files", "bytes")}))
    if not settings.signing_key_file.exists():
        complain(
            f"The key that signs is not at {settings.signing_key_file}: bring it back before the "
            "first start."
        )


@storage.command("verify")
def verify_storage() -> None:
    """Read every stored file that the database names, and check it against its hash.

    Prints JSON; what is missing or damaged is also told in words. Exit code 1 if anything is.
    """
    settings = get_settings()
    with get_database(settings.sqlalchemy_url).reading() as session:
        checked = storage_check.check(session, Blobs(settings.blob_folder))
    say(
        json.dumps(
            {
                "whole": not checked.findings,
                "blobs": checked.blobs,
                "bytes": checked.bytes,
                "orphans": checked.orphans,
                "findings": checked.findings,
            }
        )
    )
    for sentence in checked.findings:
        complain(sentence)
    if checked.findings:
        raise AlreadyTold("Not all stored files are whole.")
