"""Names, protocols, budgets and variants: what makes a comparison fair."""

from dataclasses import replace

import pytest

from models.networks import PAPER as ENCODER_OF_PAPER
from models.networks import SMALL
from models.presets import PRESETS
from models.semisup.methods import METHODS
from models.study.budget import passes_once, passes_per_step, steps_for
from models.study.contenders import FULLY_SUPERVISED, chosen, contenders
from models.study.dataset import DatasetError
from models.study.protocol import Protocol, of_the_paper
from models.study.runs import Cell, cells_of, meaning

PROTOCOL = Protocol(crop=64)


def training(name, **choices):
    (contender,) = chosen([name])
    return contender.config(PROTOCOL, steps=40, seed=0, threads=1, **choices)


def test_every_method_has_a_contender_and_shares_the_protocol():
    names = contenders()
    networks = [contender for contender in names.values() if not contender.pixels]
    assert {contender.method for contender in networks} == METHODS.keys()
    for contender in networks:
        config = contender.config(PROTOCOL, steps=9, seed=5, threads=1)
        assert (config.crop, config.iterations, config.seed) == (64, 9, 5)
        # a network of its own, with pretrained weights, has a rate of its own
        own = contender.changes.get("learning_rate", PROTOCOL.learning_rate)
        assert config.learning_rate == own
    changed = {name for name, contender in names.items() if contender.changes}
    assert changed == {"supervised-lite0"}


def options_of(name, protocol=PROTOCOL):
    return contenders()[name].config(protocol, steps=9, seed=0, threads=1).options


@pytest.mark.parametrize("name", [n for n, each in contenders().items() if not each.pixels])
@pytest.mark.parametrize("loss", ["dice", "dice+ce"])
def test_no_contender_has_another_loss(name, loss):
    assert options_of(name, replace(PROTOCOL, loss=loss)).loss == loss


def test_labelled_images_are_seen_as_the_authors_have_it_and_as_supervised_learning_does():
    names = contenders()
    twins = {name for name in names if f"{name}-strong" in names}
    assert {"mean-teacher", "cps", "ucmt", "eugmt-paper", "unimatch", "bcp"} <= twins
    for name in twins:
        weak, strong = options_of(name), options_of(f"{name}-strong")
        assert (weak.strong_labelled, strong.strong_labelled) == (False, True)
        # a teacher in training mode would know weak views alone, and its students' weights others
        assert getattr(strong, "steady_teacher", True)
    for name in ("supervised", "supervised-settled", "eugmt-plus", "supervised-100"):
        assert options_of(name).strong_labelled
    assert not options_of("supervised-weak").strong_labelled


def test_exchanged_cells_are_as_large_as_the_papers():
    for crop, grid in ((64, 4), (128, 8), (256, 16)):
        assert options_of("eugmt-paper", replace(PROTOCOL, crop=crop)).grid == grid


@pytest.mark.parametrize(
    ("name", "loss"),
    [("eugmt-paper", "dice"), ("eugmt-plus", "dice+ce"), ("transfuse", "structure")],
)
def test_each_method_can_have_its_own_loss(name, loss):
    own = replace(PROTOCOL, loss="own")
    assert contenders()[name].config(own, steps=9, seed=0, threads=1).options.loss == loss


def test_the_papers_fully_supervised_networks_have_all_labels():
    named = contenders()
    wanted = {"supervised-100", "deeplabv3plus-100", *FULLY_SUPERVISED}
    assert {name for name in named if named[name].all_labels} == wanted
    for name in wanted:
        assert Cell(named[name], 0.02, 0).labelled == 1


def test_what_is_trained_with_all_labels_is_trained_once():
    cells = cells_of(chosen(["cps", "transunet"]), [0.02, 0.05], 2)
    assert [cell.key for cell in cells] == [
        *("cps-0.02-0", "transunet-1-0", "cps-0.05-0"),
        *("cps-0.02-1", "transunet-1-1", "cps-0.05-1"),
    ]


def test_another_architecture_gets_an_encoder_that_it_can_have():
    def encoder(name):
        return training(name).network.encoder

    # smp's networks keep the protocol's encoder; a transformer's is of its own kind
    assert encoder("eugmt-unet") == encoder("deeplabv3plus-100") == PROTOCOL.network.encoder
    assert {encoder(name) for name in FULLY_SUPERVISED} == {SMALL}


def test_a_gpu_computes_in_half_precision():
    (contender,) = chosen(["eugmt-plus"])
    on_gpu = contender.config(replace(PROTOCOL, device="cuda"), steps=40, seed=0, threads=1)
    assert (on_gpu.device, on_gpu.precision) == ("cuda", "bfloat16")
    assert training("eugmt-plus").precision == "float32"


def test_a_budget_counts_what_the_networks_see():
    # one network, four labelled images a step
    assert passes_per_step(training("supervised")) == 4
    # step 1: two students on 4 + 4, the teacher on 4 + 4 without gradient; step 2: students again;
    # EUGMT's teacher sees the noisy images as well
    ucmt = 2 * 2 * 8 + 8 / 3
    assert passes_per_step(training("ucmt")) == pytest.approx(ucmt)
    assert passes_per_step(training("eugmt-paper")) == pytest.approx(ucmt + 4 / 3)
    assert steps_for(1000, training("supervised")) == 250
    assert steps_for(1000, training("ucmt")) == int(1000 / ucmt)


def test_settling_is_paid_for_once():
    plus = training("eugmt-plus")
    alone = replace(plus, options=replace(plus.options, settled=0.0))
    settled = replace(plus, options=replace(plus.options, settled=0.5))
    assert passes_per_step(settled) == passes_per_step(alone)
    # three networks look at 24 patches of 256 px, each as large as so many crops, and learn nothing
    passes = 24 * (256 // plus.crop) ** 2
    assert passes_once(alone) == 0
    assert passes_once(settled) == pytest.approx(passes)
    assert steps_for(20_000, settled) == int((20_000 - passes) / passes_per_step(alone))


def test_variants_turn_one_switch(tmp_path):
    file = tmp_path / "switches.toml"
    file.write_text('[no-exchange]\nbase = "eugmt-paper"\nexchanged = 0\nlearning_rate = 0.01\n')
    paper, variant = chosen(["eugmt-paper"], file)
    before = paper.config(PROTOCOL, steps=40, seed=0, threads=1)
    after = variant.config(PROTOCOL, steps=40, seed=0, threads=1)
    assert (before.options.exchanged, after.options.exchanged) == (2, 0)
    assert after.learning_rate == 0.01
    assert passes_per_step(after) < passes_per_step(before)


@pytest.mark.parametrize(
    ("text", "code"),
    [
        ("[a]\nbase = 'nobody'\n", "variants_unreadable"),
        ("[a\n", "variants_unreadable"),
        ("[a]\nbase = 'ucmt'\nexchange = 0\n", "switch_unknown"),
        ("[a]\nbase = 'ucmt'\nmixing = 'cutmix'\n", "switch_unknown"),
        ("[a]\nbase = 'ucmt'\nseed = 3\n", "switch_unknown"),
        ("[a]\nbase = 'eugmt-plus'\nsettled = 'half'\n", "switch_unknown"),
        ("[cps]\nbase = 'ucmt'\n", "variants_unreadable"),
        ("['../a']\nbase = 'ucmt'\n", "variants_unreadable"),
        ("a = 1\n", "variants_unreadable"),
        ("", "wrong_option"),
    ],
)
def test_wrong_variants_are_named(tmp_path, text, code):
    file = tmp_path / "switches.toml"
    file.write_text(text)
    with pytest.raises(DatasetError) as caught:
        chosen([], file)
    assert caught.value.code == code


def test_the_papers_protocol_is_the_papers_preset():
    (contender,) = chosen(["eugmt-paper"])
    paper = of_the_paper()
    steps = steps_for(paper.passes, contender.config(paper, steps=1, seed=0, threads=1))
    config = contender.config(paper, steps=steps, seed=0, threads=1)
    assert meaning(config.document()) == meaning(PRESETS["eugmt-paper"].document())
    assert contenders()["transunet"].config(paper, steps=1, seed=0, threads=1).network == (
        replace(paper.network, architecture="transunet", encoder=ENCODER_OF_PAPER)
    )


def test_a_name_given_twice_competes_once():
    assert [each.name for each in chosen(["cps", "bcp", "cps"])] == ["cps", "bcp"]


def test_an_unknown_method_is_answered_with_the_known_ones():
    with pytest.raises(DatasetError, match="eugmt-plus") as caught:
        chosen(["eugmt-minus"])
    assert caught.value.code == "method_unknown"


def test_rows_with_features_differ_from_their_namesakes_in_the_network():
    for name in ("supervised", "mean-teacher", "eugmt-plus"):
        plain, featured = (training(each).document() for each in (name, f"{name}-features"))
        assert featured["network"] == {
            **plain["network"],
            "architecture": "unet-small-features",
            "encoder_weights": "imagenet",
        }
        ours = {"preset", "network", "options"} if name == "eugmt-plus" else {"preset", "network"}
        assert {field for field in plain if plain[field] != featured[field]} == ours
