"""The table says what the runs say; the pictures show what was proposed."""

import numpy as np
import pytest
from PIL import Image

from models.networks import Ensemble, NetworkConfig, build, save_ensemble
from models.study import dataset, plots, table
from models.study.protocol import Protocol
from tests.models.study.folders import MEMBRANE, write

FACTS = {
    "train": 40,
    "test": 12,
    "test_groups": ["a", "b"],
    "validation": 4,
    "validation_groups": ["c"],
}


def run(method, seed, dice, *, share=0.05, shape=True):
    """A row of results.json; `dice` of its two groups."""
    overlap = {"dice": sum(dice) / 2, "iou": 0.5, "precision": 1.0, "recall": 1.0}
    lengths = {"asd": 1.234, "assd": 1.0, "hd": 9.0, "hd95": 5.0}
    mean = lengths | {"cl_dice": 0.75, "boundary_f1": 0.5}
    counted = {"n": 5, "both_empty": 4, "one_empty": 3}
    penalty = {name: 2 * value for name, value in lengths.items()}
    penalty |= {"cl_dice": 0.25, "boundary_f1": 0.125}
    return {
        "set": "lines",
        "method": method,
        "labelled": share,
        "labelled_patches": 2,
        "seed": seed,
        "steps": 10,
        "seconds": 3.2,
        "curve": [{"share": 0.5, "dice": 0.1}, {"share": 1.0, "dice": dice[0]}],
        "test": {
            "unknown": 2,
            "pooled": overlap,
            "per_patch": {"n": 12, **{name: value / 2 for name, value in overlap.items()}},
            "per_group": {"n": 2, **overlap},
            "groups": {"a": {"dice": dice[0]}, "b": {"dice": dice[1]}},
            "shape": {
                **counted,
                "mean": mean if shape else None,
                "with_penalty": penalty if shape else None,
            },
        },
    }


def results(*runs):
    return {"protocol": Protocol().document(), "sets": {"lines": FACTS}, "runs": list(runs)}


def rows(markdown, first="method"):
    """The cells of each row of the tables whose first column is so called."""
    lines, inside = [], False
    for line in markdown.splitlines():
        inside = line.startswith(f"| {first} |") or (inside and line.startswith("|"))
        if inside and line.startswith("| "):
            lines.append(line)
    return {cells[1]: cells[2:-1] for cells in ([c.strip() for c in x.split("|")] for x in lines)}


def test_means_and_deviations_over_seeds():
    found = rows(
        table.markdown(
            results(
                run("cps", 0, (0.6, 0.8)),
                run("supervised", 0, (0.5, 0.7)),
                run("cps", 1, (0.7, 0.9)),
                run("supervised", 1, (0.7, 0.9)),
            )
        )
    )
    assert list(found) == ["method", "supervised", "**cps**"]
    cps = dict(zip(found["method"], found["**cps**"], strict=True))
    assert cps["Dice"] == "0.750 ± 0.071"
    assert cps["ASD px"] == "1.23 ± 0.00"
    assert cps["steps"] == "10"
    # seed 0 is better by 0.1 and seed 1 by nothing, in both groups: groups are what is drawn
    assert cps["Δ Dice (95 %)"] == "+0.050 (+0.050 … +0.050; 2 groups)"
    assert found["supervised"][-1] == "–"


def test_seeds_do_not_make_an_interval_narrower():
    def interval(seeds):
        cps = [run("cps", seed, (0.6, 0.9)) for seed in range(seeds)]
        base = [run("supervised", seed, (0.5, 0.5)) for seed in range(seeds)]
        return rows(table.markdown(results(*cps, *base)))["**cps**"][-1]

    assert interval(1) == interval(5) == "+0.250 (-1.656 … +2.156; 2 groups)"


def test_one_group_has_no_interval():
    cps, base = run("cps", 0, (0.6, 0.9)), run("supervised", 0, (0.5, 0.5))
    for each in (cps, base):
        del each["test"]["groups"]["b"]
    assert rows(table.markdown(results(cps, base)))["**cps**"][-1] == "+0.100 (–, 1 group)"


def test_all_figures_with_what_they_are_of():
    study = results(
        run("cps", 0, (0.6, 0.8)), run("cps", 1, (0.8, 1.0)), run("supervised", 0, (0.5, 0.5))
    )
    found = rows(table.markdown(study), "figure")
    assert found["figure"] == ["supervised", "cps"]
    assert found["Dice, pooled"] == ["0.500", "0.800 ± 0.141"]
    assert found["Dice, mean of patches"] == ["0.250", "0.400 ± 0.071"]
    assert found["recall, mean of groups"][0] == "1.000"
    assert (found["HD px"][0], found["HD px, with penalty"][0]) == ("9.00", "18.00")
    assert (found["clDice"][0], found["clDice, with penalty"][0]) == ("0.750", "0.250")
    assert found["patches judged"] == ["12", "12"]
    assert found["patches of which nothing is known, left out"][0] == "2"
    assert found["both masks empty, no shape"][0] == "4"
    assert found["one mask empty, no shape: in the means with penalty"][0] == "3"
    assert "HD µm" not in found
    study["sets"]["lines"] = FACTS | {"mpp": 0.25}
    assert rows(table.markdown(study), "figure")["ASSD µm"][0] == "0.25"


def test_figures_that_an_older_file_has_not_are_dashes():
    old = run("cps", 0, (0.6, 0.8))
    del old["test"]["unknown"], old["test"]["per_patch"]["n"]
    found = rows(table.markdown(results(old)), "figure")
    assert found["patches judged"] == ["–"]


def test_what_is_missing_is_a_dash():
    found = rows(table.markdown(results(run("cps", 0, (0.0, 0.0), shape=False))))
    cps = dict(zip(found["method"], found["**cps**"], strict=True))
    assert cps["HD95 px"] == cps["Δ Dice (95 %)"] == "–"
    assert cps["Dice"] == "0.000"


def test_one_table_for_each_share():
    text = table.markdown(
        results(run("cps", 0, (0.5, 0.5), share=0.05), run("cps", 0, (0.4, 0.4), share=0.02))
    )
    assert text.index("lines, 2 %") < text.index("lines, 5 %")
    assert "2 of 40 training patches labelled; 12 test patches of 2 groups; seeds 0." in text


def test_where_all_is_labelled_the_baseline_is_supervised_with_all_labels():
    found = rows(
        table.markdown(
            results(
                run("transunet", 0, (0.6, 0.8), share=1.0),
                run("supervised-100", 0, (0.5, 0.7), share=1.0),
            )
        )
    )
    assert list(found) == ["method", "supervised-100", "**transunet**"]
    assert found["supervised-100"][-1] == "–"
    assert found["**transunet**"][-1].startswith("+0.100")


def test_a_summary_of_several_sets():
    other = results(run("cps", 0, (0.2, 0.2)))
    other["runs"][0]["set"] = "spots"
    text = table.summary(
        [
            results(run("supervised", 0, (0.5, 0.7)), run("cps", 0, (0.4, 0.4), share=0.02)),
            results(run("cps", 0, (0.6, 0.8))),
            other,
        ]
    )
    assert rows(text) == {
        "method": ["lines 2 %", "lines 5 %", "spots 5 %"],
        "supervised": ["–", "0.600", "–"],
        "cps": ["**0.400**", "**0.700**", "**0.200**"],
    }


def test_judged_on_validation_the_test_figures_play_no_part():
    good, bad = run("cps", 0, (0.9, 0.9)), run("supervised", 0, (0.2, 0.2))
    for each in (good, bad):
        each["validation"] = each["test"]
    good["test"] = run("cps", 0, (0.1, 0.1))["test"]
    del bad["test"]
    text = table.markdown(results(good, bad, run("bcp", 0, (0.5, 0.5))), "validation")
    found = rows(text)
    assert list(found) == ["method", "supervised", "**cps**"]
    assert found["**cps**"][0] == "0.900"
    assert found["**cps**"][-1].startswith("+0.700")
    assert "4 validation patches of 1 groups" in text
    assert rows(table.markdown(results(good, bad)))["**cps**"][0] == "0.100"
    with pytest.raises(ValueError, match="no training was judged on the validation patches"):
        table.markdown(results(run("bcp", 0, (0.5, 0.5))), "validation")


def test_other_budgets_are_other_tables():
    long = results(run("cps", 0, (0.5, 0.5)))
    long["protocol"]["passes"] *= 2
    with pytest.raises(ValueError, match="different protocols"):
        table.summary([results(run("cps", 0, (0.5, 0.5))), long])


@pytest.mark.parametrize(
    ("truth", "proposed", "colour"),
    [
        (255, True, plots.FOUND),
        (255, False, plots.MISSED),
        (0, True, plots.INVENTED),
        (0, False, (0, 0, 0)),
        (127, True, plots.UNKNOWN),
    ],
)
def test_errors_have_their_colours(truth, proposed, colour):
    picture = plots.judged(np.full((2, 2), proposed), np.full((2, 2), truth, np.uint8))
    assert (picture == colour).all()


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = write(tmp_path_factory.mktemp("set") / "lines", slides=5, fields=2)
    return dataset.read(
        folder / "images",
        folder / "masks",
        positive=str(MEMBRANE),
        groups=folder / "groups.csv",
        name="lines",
    )


def test_the_gallery_shows_whose_weights_are_left(data, tmp_path):
    rows = [run("supervised", 0, (0.5, 0.5)), run("cps", 0, (0.5, 0.5))]
    assert not plots.gallery(results(*rows), data, tmp_path, tmp_path / "none.png")
    assert not (tmp_path / "none.png").exists()
    config = NetworkConfig("unet-small")
    (tmp_path / "lines" / "cps-0.05-0").mkdir(parents=True)
    save_ensemble(
        Ensemble(config, build(config), ()), tmp_path / "lines/cps-0.05-0/judged.safetensors"
    )
    assert plots.gallery(results(*rows), data, tmp_path, tmp_path / "one.png")
    wide = Image.open(tmp_path / "one.png").size
    assert wide[0] > 100


def test_examples_are_test_patches_of_different_groups(data):
    test = dataset.split(data).test
    chosen = plots.examples(data, test, 4)
    assert set(chosen) <= set(test.tolist())
    groups = [data.groups[index] for index in chosen]
    assert len(groups) == len(set(groups)) == min(4, len({data.groups[i] for i in test}))


def test_curves_are_drawn(tmp_path):
    plots.curves(results(run("cps", 0, (0.5, 0.5))), tmp_path / "curves.png")
    assert Image.open(tmp_path / "curves.png").size[0] > 100
