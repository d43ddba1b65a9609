"""`membrana agreement`: computed HER2 categories against those that people gave."""

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import AlreadyTold, app, complain, say
from backend.progress import bar
from worker.commands.agreement_table import PERCENTAGES, Row, rows_of
from worker.commands.controls import doubts_on
from worker.commands.image_files import read_picture, remark_on
from worker.commands.options import folder_of, in_words, written
from worker.commands.score import Calibration, Drawn, Gap, Merge, Model, Nuclei, Positive, Rules
from worker.commands.scoring import Trouble, going_on, of_her2, rules_of, score_picture
from worker.commands.sources import Source, check_names, source_of

UNMERGED = (
    "No given category is 0+, some computed ones are: if the readers' guideline has no 0+, "
    "--merge-zero-plus counts it as 0."
)
FEW_READERS = "The consensus is of {number} readers: three are needed for one that means much."
Scored = tuple[Row, dict[str, Any]]


@app.command()
def agreement(
    table: Annotated[Path, typer.Argument(help="CSV of image and category, or several readers'.")],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="JSON to write, and plots beside it.")
    ] = None,
    masks: Annotated[
        Path | None, typer.Option(help="Folder of membrane masks of the same names and sizes.")
    ] = None,
    positive: Positive = "255",
    model: Model = None,
    regions: Drawn = None,
    detector: Nuclei = "",
    protocol: Rules = "asco_cap_2023_breast",
    calibration: Calibration = None,
    gap: Gap = None,
    *,
    merge_zero_plus: Merge = False,
    into: Annotated[
        Path | None, typer.Option(help="Folder for a figure of each disagreement.")
    ] = None,
) -> None:
    """Compare computed HER2 categories with those that people gave. For Research Use Only.

    Scores the images of the table (its columns: docs/her2.md) and prints one JSON document.
    Without masks and model what comes with Membrana draws them. An image that can't be scored is
    named and left out of the figures, and the exit code is 1.
    """
    from worker.her2.detector import of_detector

    with in_words(), of_her2():
        rules = rules_of(protocol, calibration, gap, merge_zero_plus=merge_zero_plus)
        source = source_of(
            masks,
            positive,
            model,
            proposal=masks is None and model is None,
            regions=regions,
            detector=detector,
            # categories are compared: without regions the table's pictures are fields of tumour
            whole=regions is None,
        )
        rows = rows_of(table)
        if masks is not None or regions is not None:
            check_names([table.parent / row.image for row in rows], source)
        if into is not None:
            folder_of(into)
    failed: list[Trouble] = []
    scored: list[Scored] = []
    with bar("images", len(rows)) as show:
        for done, row in enumerate(rows, start=1):
            with going_on(row.image, failed.append):
                document = of_row(row, table.parent, rules, source, into, merge=merge_zero_plus)
                scored.append((row, document))
            show(done, len(rows))
    comparison = compared(scored, merge_zero_plus=merge_zero_plus)
    comparison["notes"] += doubts_on(calibration, source)
    comparison |= {
        "masks": source.words,
        "weights_sha256": source.weights_sha256,
        "regions": "drawn" if regions else "whole pictures",
        **of_detector(source.frozen_detector),
        "failed": failed,
    }
    for note in comparison["notes"]:
        complain(note)
    text = json.dumps(comparison, indent=1)
    if output is not None:
        with written(output) as draft:
            draft.write_text(text + "\n")
        plot_percentages(scored, output)
    say(text)
    if failed:
        raise AlreadyTold(f"{len(failed)} of {len(rows)} images were not scored.")


def of_row(
    row: Row, folder: Path, rules: Any, source: Source, into: Path | None, *, merge: bool
) -> dict[str, Any]:
    """Return the score document of a row's image; draw it if it is not what was given."""
    picture = read_picture(folder / row.image, row.mpp)
    remark_on(picture)
    result = score_picture(picture, rules, source)
    document = {"image": row.image, **result.document}
    if into is not None and differs(row.given, document["score"], merge=merge):
        from models.her2.figures import disagreement

        path = into / f"{row.number:03}_{picture.path.stem}.png"
        disagreement(picture.pixels, result.membrane, result.cells, document, str(row.given), path)
    return document


def differs(given: str | None, computed: str, *, merge: bool) -> bool:
    as_printed = {"0+": "0"} if merge else {}
    return given is not None and as_printed.get(given, given) != as_printed.get(computed, computed)


def compared(scored: Sequence[Scored], *, merge_zero_plus: bool) -> dict[str, Any]:
    """Compare categories, readers and percentages of what could be scored."""
    from models.her2.agreement import agreement, bland_altman, deming, icc
    from models.her2.agreement_figures import on_logit
    from models.her2.readers import compare_readers
    from models.her2.slide_score import RESEARCH_USE_ONLY

    known = [(row, content) for row, content in scored if row.given is not None]
    comparison = agreement(
        [str(row.given) for row, _ in known],
        [content["score"] for _, content in known],
        [row.patient for row, _ in known],
        merge_zero_plus=merge_zero_plus,
    )
    comparison["not_assessable"]["reasons"] = dict(
        Counter(each["reason"] for _, each in scored if each["score"] == "not assessable")
    )
    comparison["no_consensus"] = len(scored) - len(known)
    names = list(scored[0][0].readers) if scored else []
    comparison["readers"] = compare_readers(
        {name: [row.readers[name] for row, _ in scored] for name in names},
        [content["score"] for _, content in scored],
        [row.patient for row, _ in scored],
        merge_zero_plus=merge_zero_plus,
    )
    percentages = pairs_of(scored)
    comparison["bland_altman"] = {
        name: bland_altman(*pairs[:2]) for name, pairs in percentages.items()
    }
    comparison["bland_altman_logit"] = {
        name: on_logit(pairs) for name, pairs in percentages.items()
    }
    comparison["icc_2_1"] = {
        name: icc(list(zip(*pairs[:2], strict=True))) for name, pairs in percentages.items()
    }
    comparison["deming"] = {name: deming(*pairs[:2]) for name, pairs in percentages.items()}
    comparison["notes"] = notes_on(known, names, merge_zero_plus=merge_zero_plus)
    comparison["research_use_only"] = RESEARCH_USE_ONLY
    comparison["protocol"] = scored[0][1]["protocol"] if scored else None
    comparison["images"] = [image_document(row, content) for row, content in scored]
    return comparison


def notes_on(
    known: Sequence[Scored], readers: Sequence[str], *, merge_zero_plus: bool
) -> list[str]:
    """Say what a reader of the figures must know to read them rightly."""
    notes = []
    given = {row.given for row, _ in known}
    if not merge_zero_plus and "0+" not in given and "0+" in {each["score"] for _, each in known}:
        notes.append(UNMERGED)
    if readers and len(readers) < 3:
        notes.append(FEW_READERS.format(number=len(readers)))
    return notes


def image_document(row: Row, content: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "image": row.image,
        "sha256": content["provenance"]["image_sha256"],
        "given": row.given,
        **({"readers": dict(row.readers)} if row.readers else {}),
        "computed": content["score"],
        "reason": content["reason"],
        "cells": content["cells"],
        "membrane_percent_of_tissue": content.get("membrane_percent_of_tissue"),
        "flags": [flag["code"] for flag in content["flags"]],
    }


def pairs_of(scored: Sequence[Scored]) -> dict[str, tuple[list[float], list[float], list[int]]]:
    """Return given and computed percentages, and cells, where any image has both."""
    pairs = {}
    for column, name in PERCENTAGES.items():
        both = [
            (row.percent[column], float(content["percent"][name]["value"]), int(content["cells"]))
            for row, content in scored
            if column in row.percent and content["percent"][name]["value"] is not None
        ]
        if both:
            given, computed, cells = (list(each) for each in zip(*both, strict=True))
            pairs[name] = (given, computed, cells)
    return pairs


def plot_percentages(scored: Sequence[Scored], output: Path) -> None:
    """Draw the percentages' differences beside the document, where there are any."""
    from models.her2.agreement_figures import plot

    if percentages := pairs_of(scored):
        plot(percentages, output.with_suffix(".bland_altman.png"))
