"""`membrana score` and `membrana calibrate`: HER2 from files, without a server."""

import json
from contextlib import nullcontext
from pathlib import Path
from typing import Annotated, Any

import typer

from backend.cli import AlreadyTold, app, complain, say
from backend.progress import bar
from worker.commands.controls import calibration_of, doubts_on
from worker.commands.image_files import read_picture, remark_on, stated_size
from worker.commands.options import OptionRefused, folder_of, in_words, written
from worker.commands.score_files import ScoreFiles
from worker.commands.scoring import Trouble, going_on, of_her2, rules_of, score_picture
from worker.commands.sources import check_names, files_of, source_of

Images = Annotated[list[Path], typer.Argument(help="Images, small slides, or folders of them.")]
Mask = Annotated[
    Path | None, typer.Option(help="Folder of membrane masks of the same names and sizes.")
]
Positive = Annotated[str, typer.Option(help="The masks' value of membrane; `any` for all but 0.")]
Model = Annotated[Path | None, typer.Option(help="Weights that draw the masks, instead of --mask.")]
Proposal = Annotated[
    bool,
    typer.Option("--proposal", help="Let what comes with Membrana draw the masks: a rough start."),
]
Mpp = Annotated[float | None, typer.Option(help="µm per pixel; without it, what the file says.")]
Rules = Annotated[str, typer.Option(help="asco_cap_2023_breast, hercep_gastric_resection, …")]
Calibration = Annotated[
    Path | None, typer.Option(help="What `membrana calibrate` wrote for this laboratory.")
]
Gap = Annotated[
    str | None,
    typer.Option(help="What the guideline's gap is scored as (0+, 1+, 2+); else the protocol's."),
]
Merge = Annotated[
    bool,
    typer.Option("--merge-zero-plus", help="Print 0+ as 0, for guidelines without 0+."),
]
Drawn = Annotated[
    Path | None,
    typer.Option(
        help="GeoJSON of tumour and exclude polygons in the image's px (QuPath's will do), or a "
        "folder of such files by the images' names. Without it there is no category."
    ),
]
Whole = Annotated[
    bool,
    typer.Option("--whole", help="All of each picture is invasive tumour, instead of --regions."),
]
Nuclei = Annotated[
    str,
    typer.Option(
        help="What finds the nuclei: weights of a detector (InstanSeg, StarDist, Cellpose), a file "
        "or folder with its card as JSON, or `log`, the rule without weights. Left out, the "
        "network that comes with Membrana.",
        show_default=False,
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        "--output", "-o", help="Folder for tables and figures; without it, none are made."
    ),
]


@app.command()
def score(
    images: Images,
    output: Out = None,
    protocol: Rules = "asco_cap_2023_breast",
    calibration: Calibration = None,
    mask: Mask = None,
    positive: Positive = "255",
    model: Model = None,
    *,
    proposal: Proposal = False,
    mpp: Mpp = None,
    regions: Drawn = None,
    whole: Whole = False,
    gap: Gap = None,
    merge_zero_plus: Merge = False,
    detector: Nuclei = "",
) -> None:
    """Score HER2 on images with membrane masks. For Research Use Only.

    Without --regions every nucleus is counted and there is no category, since stroma, lymphocytes
    and normal ducts count, too; --whole says that a picture shows tumour alone. Prints the score
    documents as JSON; in the folder of -o lie scores.csv and, for each image, its document, cells
    and a figure. A picture that can't be scored is named with its code and stops no other; the
    exit code is then 1.
    """
    with in_words(), of_her2():
        stated_size(mpp, "--mpp")
        rules = rules_of(protocol, calibration, gap, merge_zero_plus=merge_zero_plus)
        source = source_of(
            mask,
            positive,
            model,
            proposal=proposal,
            regions=regions,
            detector=detector,
            whole=whole,
        )
        paths = files_of(images)
        check_names(paths, source)
        for doubt in doubts_on(calibration, source):
            complain(doubt)
        files = ScoreFiles(folder_of(output)) if output else None
    documents: list[dict[str, Any]] = []
    failed: list[Trouble] = []
    with files or nullcontext(), bar("images", len(paths)) as show:
        for done, path in enumerate(paths, start=1):
            with going_on(path.name, failed.append):
                picture = read_picture(path, mpp)
                remark_on(picture)
                result = score_picture(picture, rules, source)
                document = {"image": path.name, **result.document}
                if files:
                    files.scored(picture, result, document)
                documents.append(document)
            show(done, len(paths))
        if files:
            files.failed(failed)
    say(json.dumps(documents, indent=1))
    if failed:
        raise AlreadyTold(f"{len(failed)} of {len(paths)} images were not scored.")


@app.command()
def calibrate(
    output: Annotated[Path, typer.Option("--output", "-o", help="Calibration file to write.")],
    negative: Annotated[list[Path], typer.Option(help="Images of the negative control.")],
    low: Annotated[list[Path], typer.Option(help="Images of the 1+ control.")],
    strong: Annotated[list[Path], typer.Option(help="Images of the 3+ control.")],
    scanner: Annotated[str, typer.Option(help="Scanner or camera that took them.")],
    antibody: Annotated[str, typer.Option(help="Antibody clone of the staining: 4B5, …")],
    blank: Annotated[
        list[Path] | None,
        typer.Option(help="At least 20 slides known to be negative, for the detection floor."),
    ] = None,
    protocol: Rules = "asco_cap_2023_breast",
    mask: Mask = None,
    positive: Positive = "255",
    model: Model = None,
    *,
    proposal: Proposal = False,
    mpp: Mpp = None,
    detector: Nuclei = "",
) -> None:
    """Measure a laboratory's thresholds and stain vectors on its control tissue.

    They hold for this scanner, this antibody, masks from this source and nuclei found by this
    detector. For Research Use Only.
    """
    with in_words(), of_her2():
        stated_size(mpp, "--mpp")
        for option, word in (("--scanner", scanner), ("--antibody", antibody)):
            if not word.strip():
                raise OptionRefused(f"{option} is empty: thresholds hold for one.")
        rules = rules_of(protocol, None, None, merge_zero_plus=False)
        source = source_of(mask, positive, model, proposal=proposal, detector=detector)
        given = {"negative": negative, "low": low, "strong": strong, "blank": blank or []}
        content = calibration_of(
            {name: files_of(some) for name, some in given.items()},
            rules,
            source,
            mpp,
            {"scanner": scanner, "antibody": antibody},
        )
    for note in content["notes"]:
        complain(note)
    text = json.dumps(content, indent=1)
    with written(output) as draft:
        draft.write_text(text + "\n")
    say(text)
