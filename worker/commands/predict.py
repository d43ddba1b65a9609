"""`membrana predict`: proposals of a running service, for a slide or a part of it."""

import math
from typing import Annotated

import typer

from backend.cli import app, connect, say
from backend.progress import bar

SIDES = ("x", "y", "width", "height")


@app.command()
def predict(
    slide_id: str,
    *,
    box: Annotated[
        str, typer.Option(help="X,Y,W,H: only this part of it, level-0 px; it comes first.")
    ] = "",
    wait: Annotated[bool, typer.Option("--wait", help="Stay until it is done.")] = False,
) -> None:
    """Ask for the active model's proposals on a slide; prints the job's id."""
    wanted = box_of(box) if box else {}
    with connect() as client:
        job = client.ask("POST", f"/slides/{slide_id}/predictions", json=wanted).json()
        say(job["id"])
        if wait:
            with bar("predicting", 1) as show:
                client.wait_for_job(job["id"], progress=show)


def box_of(text: str) -> dict[str, float]:
    """Read X,Y,W,H; whether it lies on the slide is for the service to say."""
    try:
        numbers = [float(each) for each in text.split(",")]
    except ValueError:
        numbers = []
    if len(numbers) != len(SIDES) or not all(map(math.isfinite, numbers)):
        raise typer.BadParameter(
            f"--box is four numbers, X,Y,W,H in level-0 px, such as 0,0,2048,2048; not {text}"
        )
    return dict(zip(SIDES, numbers, strict=True))
