"""The table of docs/measured.md: what the service needs, from results that benchmarks wrote."""

from collections.abc import Callable

from documents.methods_tables import result
from documents.passages import table

Row = tuple[str, str, str, str]
"""What, the goal, what was measured, the benchmark."""


def measured() -> str:
    """A line a benchmark: goal, figure, machine, command."""
    lines = []
    for name, row in ROWS:
        document = result(name)
        what, goal, figure, command = row()
        cores = str(document["machine"]["cores"])
        lines.append([what, goal, figure, document["when"][:10], cores, f"`{command}`"])
    titles = ["what", "goal", "measured", "on", "cores", "command"]
    return table(titles, lines)


def learning() -> Row:
    document = result("learning")
    figures = [f"{run['cold_start']:.3f} → {run['dice']:.3f}" for run in document["runs"]]
    seeds = ", ".join(str(run["seed"]) for run in document["runs"])
    return (
        (
            f"Dice on a phantom slide never seen: cold start → trained on "
            f"{document['labelled_patches']} corrected patches, seeds {seeds}"
        ),
        f"+{document['goal']:g}",
        "; ".join(figures),
        "python -m benchmarks.learning",
    )


def loop() -> Row:
    """The table has what a person waits for; where others work on the machine, at what load."""
    document = result("loop")
    waited = [
        f"{run['moments']['promoted']['seconds']:.0f} / {run['moments']['proposed']['seconds']:.0f}"
        f" s ({run['moments']['proposed']['processor_seconds']:.0f} of a processor)"
        for run in document["runs"]
    ]
    dices = [f"{run['dice_before']:.3f} → {run['dice_after']:.3f}" for run in document["runs"]]
    loads = [run["load_average_meanwhile"] for run in document["runs"]]
    return (
        (
            "from the tenth correction that is learned from to a promoted model / to its first "
            f"proposal, load average {min(loads):g} to {max(loads):g}; Dice on what nobody touched"
        ),
        f"≤ {document['goal_seconds']:g} s to the proposal",
        f"{'; '.join(waited)}; Dice {'; '.join(dices)}",
        "python -m benchmarks.loop",
    )


def selector() -> Row:
    document = result("selector")
    tile = document["sizes"]["tile"]["milliseconds"]
    return (
        "the selector against `cleanlab.filter.find_label_issues` on one patch, same pixels",
        f"≥ {document['goal']}×",
        f"{document['ratio']:.0f}× ({tile['numpy']:.1f} ms instead of {tile['cleanlab']:.0f})",
        "python -m benchmarks.selector",
    )


def prediction() -> Row:
    document = result("prediction")
    return (
        (
            "prediction of a slide against the bare networks, same batch, "
            f"{document['threads']} thread for the networks"
        ),
        f"≥ {document['goal']}",
        (
            f"{document['ratio']:.2f}, with the tiles' overlap counted as work "
            f"{document['ratio'] * document['tiles']['area']:.2f}"
        ),
        "python -m benchmarks.prediction --threads 1",
    )


def tiles() -> Row:
    cost = result("prediction")["tiles"]
    return (
        "time for a slide in blended tiles against the same in patches edge to edge, 1 thread",
        f"≤ {cost['goal']}×",
        f"{cost['ratio']:.2f}× (their area: {cost['area']:.2f}×)",
        "python -m benchmarks.prediction --threads 1",
    )


def seams() -> Row:
    document = result("seams")
    figures = [
        f"{title} {each['tiles 256/256']['at_borders_of_patches']:.1%} edge to edge, "
        f"{each['tiles 1072/1024']['at_borders_of_patches']:.2%} in blended tiles "
        f"({each['tiles 1072/1024']['at_its_own_borders']:.1%} at these tiles' own borders)"
        for title, each in document["shares"].items()
    ]
    return (
        (
            f"membrane within {document['near_px']} px of a border of patches that comes or goes "
            "when the grid lies half a patch further on, three real cores"
        ),
        f"≤ {document['goal']:.0%}",
        "; ".join(figures),
        "python -m benchmarks.seams",
    )


def ingest() -> Row:
    document = result("ingest")
    titles = {"pyramid": "with levels", "one_level": "one level", "plain_tiff": "plain TIFF"}
    figures = [
        f"{title} {document['files'][name]['ingest_seconds']:.1f} s, "
        f"{document['files'][name]['peak_mib']} MiB"
        for name, title in titles.items()
    ]
    size = document["files"]["pyramid"]
    return (
        f"ingest of a slide of {size['width']:,} × {size['height']:,} px: time, memory",
        f"< {document['goal_mib']} MiB",
        "; ".join(figures),
        "python -m benchmarks.ingest",
    )


def startup() -> Row:
    document = result("startup")
    return (
        "start of the API process to its first answer; memory",
        f"< {document['goal_seconds']:g} s",
        f"{document['median_seconds']:.2f} s; {document['median_mebibytes']:.0f} MiB",
        "python -m benchmarks.startup",
    )


def training() -> Row:
    document = result("training")
    figures = [
        f"{name.removesuffix('s') if ' 1 ' in name else name} {figures['ratio']:.2f}"
        for name, figures in document["results"].items()
        if name.startswith("eugmt-plus")
    ]
    return (
        "a training step against its bare passes",
        "≤ 1.15",
        "; ".join(figures),
        "python -m benchmarks.training",
    )


def inference() -> Row:
    document = result("inference")
    figures = []
    for row in document["results"]:
        speeds, masks = row["threads 1"], row["masks"]
        figures.append(
            f"{row['network']} {speeds['openvino f32']['ratio']:.1f}× (mask IoU "
            f"{masks['openvino f32']['mask_iou']:g}), in 8 bits "
            f"{speeds['openvino int8']['ratio']:.1f}× ({masks['openvino int8']['mask_iou']:.3f})"
        )
    return (
        "trained networks on OpenVINO against eager torch, 1 thread",
        f"≥ {document['goal']['ratio']:g}×",
        "; ".join(figures),
        "python -m benchmarks.inference",
    )


def live_score() -> Row:
    document = result("live_score")
    titles = {
        "mask": "mask",
        "thresholds": "threshold",
        "decision": "decision on a cell",
        "region_2_mm_edge_in_by_0.1_mm": "2 mm of a region's edge in by 0.1 mm",
        "region_2_mm_edge_out_by_0.1_mm": "the same out",
        "region_whole_edge_out_by_0.1_mm": "all of the edge out",
    }
    figures = [
        f"{title} {document['edits'][name]['median_s']:.2f}" for name, title in titles.items()
    ]
    return (
        (
            f"seconds from a change to the new score of {document['cells']:,} cells (median of "
            f"{document['times']})"
        ),
        f"≤ {document['goal_s']:g}",
        "; ".join(figures),
        "python -m benchmarks.live_score",
    )


def her2_cells() -> Row:
    document = result("her2_cells")
    ours, rule = (
        each["processor_s_for_a_million"] for each in (document, document["with_the_rule"])
    )
    return (
        (
            "HER2 cells from finished masks, survey and scoring included, "
            f"{document['cells']:,} cells measured: seconds a million"
        ),
        f"{document['goal_s']} on 4 free cores",
        (
            f"{ours / 4:.0f}, a quarter of {ours:.0f} processor seconds; with the rule's nuclei in "
            f"the same run {rule / 4:.0f}"
        ),
        "python -m benchmarks.her2_cells",
    )


def tile_servers() -> Row:
    document = result("tiles")
    figures = []
    for name, slide in document["slides"].items():
        for clients, row in slide["clients"].items():
            ours, example = row["membrana"], row["example"]
            times = "; ".join(
                f"{word} {ours[key]:.1f} ms ({example[key]:.1f})"
                for word, key in (("p50", "p50_ms"), ("p95", "p95_ms"))
            )
            figures.append(
                f"`{name}`, {clients} at once: {ours['requests_per_second']:.0f} a second "
                f"({example['requests_per_second']:.0f}, ratio {row['ratio']:.1f}); {times}; "
                f"{ours['cpu_ms_per_tile']:.1f} CPU ms a tile ({example['cpu_ms_per_tile']:.1f})"
            )
    return (
        (
            "Deep Zoom tiles, one API process, against openslide-python's example server (in "
            f"brackets) in turn, load average {document['load_average_meanwhile']:.0f}"
        ),
        "≥ 1.3× its requests a second, below its p50 and p95",
        "<br>".join(figures),
        "python -m benchmarks.tiles",
    )


def sql_scale() -> Row:
    document = result("sql_scale")
    calls = document["calls"]
    met = sum(document["goal_met"].values())
    queue = "; ".join(
        f"{name.removeprefix('queue, ')} {row['p95_ms']:.0f}"
        for name, row in calls.items()
        if name.startswith("queue")
    )
    lists = "; ".join(
        f"{name} {row['p95_ms']:.0f}" for name, row in calls.items() if not name.startswith("queue")
    )
    return (
        (
            f"lists and the queue on PostgreSQL at {document['slides']:,} slides of together "
            f"{document['patches']:,} patches, p95 in ms, load average "
            f"{document['load_average_meanwhile']:.0f}"
        ),
        f"< {document['goal_p95_ms']:.0f} ms each",
        f"{met} of {len(calls)} reach it. {lists}. Queue: {queue}",
        "python -m benchmarks.sql_scale",
    )


ROWS: tuple[tuple[str, Callable[[], Row]], ...] = (
    ("learning", learning),
    ("loop", loop),
    ("selector", selector),
    ("prediction", prediction),
    ("prediction", tiles),
    ("seams", seams),
    ("ingest", ingest),
    ("tiles", tile_servers),
    ("sql_scale", sql_scale),
    ("startup", startup),
    ("training", training),
    ("inference", inference),
    ("live_score", live_score),
    ("her2_cells", her2_cells),
)
"""Of which result, and what it says."""
