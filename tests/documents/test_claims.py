"""Sentences that people wrote about results say no more than the results do."""

from statistics import mean

from documents.methods_tables import of_sets, result, studies
from documents.register import ROOT
from models.study.active_report import by_strategy
from models.study.table import dice, judged

FROM_HALF = "half-consistency-1-copy-paste"


def says(name: str, words: str) -> bool:
    """Whether a document still says it; if not, the test below goes, too."""
    return words in " ".join((ROOT / "docs" / name).read_text().split())


def test_where_categories_of_phantoms_are_wrong() -> None:
    assert says("her2_validation.md", "After calibration every error lies between 0+ and 1+")
    assert says("her2_validation.md", "without it some concern 2+ and 3+")
    document = result("her2_phantoms_network")
    assert all({true, got} == {"0+", "1+"} for _, true, got in document["calibrated"]["wrong"])
    assert any({true, got} & {"2+", "3+"} for _, true, got in document["start"]["wrong"])


def test_the_stain_rule_tells_strong_from_weak_and_nothing_below() -> None:
    assert says("her2_validation.md", "it tells strong from weak, and nothing about 0, 0+ and 1+")
    assert says("her2_validation.md", "`membrana calibrate` mostly refuses such controls")
    document = result("her2_phantoms_cold_start")
    confusion = document["start"]["confusion"]
    assert all(
        confusion[strong].get(strong) == sum(confusion[strong].values()) for strong in ("2+", "3+")
    )
    assert all(not confusion[weak].get(weak) for weak in ("0", "0+"))
    assert len(document["calibration_refused"]) > document["phantoms"] / 2


def test_the_negative_controls_lie_below_the_floor() -> None:
    assert says("her2_validation.md", "none is called stained, below the detection floor of 1 %")
    assert result("her2_real")["controls"]["nuclear Ki67"]["stained_percent"] == 0


def test_camera_fields_are_scored_too_high() -> None:
    assert says("her2_validation.md", "are scored about one category too high by start values")
    order = ["0", "0+", "1+", "2+", "3+"]
    fields = [
        order.index(row["computed"]) - order.index(row["given"])
        for row in result("her2_real")["images"]
        if row["kind"] == "field" and row["given"] is not None
    ]
    assert all(apart > 0 for apart in fields)


def test_pseudo_labels_of_eugmt_plus_begin_near_the_end() -> None:
    assert says("methods.md", "they begin near its end")
    runs = [run for study in studies("tables/validated") for run in study["runs"]]
    shares = {
        run["config"]["options"]["labelled_share"] for run in runs if run["method"] == "eugmt-plus"
    }
    assert min(shares) >= 0.9


def test_no_one_moment_for_pseudo_labels_is_best() -> None:
    assert says("methods.md", "No one moment for pseudo-labels to begin is best")
    assert says("methods.md", "is the best row of its table on DSB and at the longer budget on EM")
    found = of_sets("ablation/finalists", "validation")
    assert max(found["dsb"], key=found["dsb"].__getitem__) == FROM_HALF
    assert sorted(found["drive"], key=found["drive"].__getitem__).index(FROM_HALF) <= 1
    long = judged(result("ablation/long/em")["runs"], "validation")
    assert max(long, key=dice)["method"] == FROM_HALF


def test_active_learning_on_the_phantom_tells_nothing_apart() -> None:
    assert says("methods.md", "On the phantom the first labels suffice for every strategy")
    for name in ("active/phantom", "active/long/phantom"):
        chains = by_strategy(result(name)["chains"])
        first = {mean(chain["points"][0]["share"] for chain in each) for each in chains.values()}
        assert {mean(chain["enough"] for chain in each) for each in chains.values()} == first


def test_out_of_fold_is_no_better_here_than_in_sample() -> None:
    assert says(
        "methods.md", "Judging out of fold finds them no better here than judging in sample"
    )
    assert says("methods.md", "Most of what is shown is no planted error")
    for figures in result("label_issues")["sets"].values():
        out, inside = figures["out_of_fold"], figures["network_that_learned_the_same_masks"]
        gain = out["component_average_precision"] - inside["component_average_precision"]
        assert gain < 0.01
        assert out["components"]["all"]["precision"] < 0.5
