"""What a route may ask for: a session, the settings, the blobs.

`scope="function"` closes a dependency before the response is sent, so a client that reads
"201" finds the row, and a commit that fails is an error and not a lie.
"""

from collections.abc import Iterator
from typing import Annotated

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from backend.kit.db.session import Database
from backend.kit.storage.blobs import Blobs
from backend.settings import Settings


def settings_of(request: Request) -> Settings:
    settings: Settings = request.app.state.settings
    return settings


def database_of(request: Request) -> Database:
    database: Database = request.app.state.database
    return database


def blobs_of(request: Request) -> Blobs:
    return Blobs(settings_of(request).blob_folder)


def reading(request: Request) -> Iterator[Session]:
    with database_of(request).reading() as session:
        yield session


def writing(request: Request) -> Iterator[Session]:
    with database_of(request).writing() as session:
        yield session


# not in threads, as nothing here waits: each would cost more than what it is asked for
async def current_settings(request: Request) -> Settings:
    return settings_of(request)


async def current_database(request: Request) -> Database:
    return database_of(request)


async def blob_store(request: Request) -> Blobs:
    return blobs_of(request)


CurrentSettings = Annotated[Settings, Depends(current_settings)]
CurrentDatabase = Annotated[Database, Depends(current_database)]
BlobStore = Annotated[Blobs, Depends(blob_store)]
ReadSession = Annotated[Session, Depends(reading, scope="function")]
WriteSession = Annotated[Session, Depends(writing, scope="function")]
