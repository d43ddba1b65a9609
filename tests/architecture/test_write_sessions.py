"""A route that holds the database for writing cannot reach the blobs: others wait for no disk.

What a service does in a transaction that it opens itself is watched while the tests drive it
(tests/support/waiting.py), without exceptions.
"""

from collections.abc import Callable, Iterator
from typing import Any

import pytest
from fastapi import APIRouter
from fastapi.dependencies.models import Dependant
from fastapi.routing import APIRoute

from backend import wiring
from backend.kit.dependencies import BlobStore, WriteSession, blob_store, writing


def called(dependant: Dependant) -> Iterator[Callable[..., Any] | None]:
    """Yield everything that a route depends on, however deep."""
    for each in dependant.dependencies:
        yield each.call
        yield from called(each)


def both(routers: list[APIRouter]) -> list[str]:
    """Return the addresses of routes that are given a write session and the blobs."""
    return [
        f"{sorted(route.methods)} {route.path}"
        for router in routers
        for route in router.routes
        if isinstance(route, APIRoute) and {writing, blob_store} <= set(called(route.dependant))
    ]


def test_no_route_has_a_write_session_and_the_blobs() -> None:
    assert both([domain.router for domain in wiring.ROUTES]) == []


def test_one_that_had_both_would_be_named() -> None:
    router = APIRouter()

    @router.post("/both")
    def route(session: WriteSession, blobs: BlobStore) -> None:
        pytest.fail(f"never called: {session}, {blobs}")

    assert both([router]) == ["['POST'] /both"]
