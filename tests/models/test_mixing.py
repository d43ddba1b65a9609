"""What stands in a box, who is asked for it, and that views and answers are mixed alike."""

from dataclasses import replace

import pytest
import torch

from models.semisup.mixing import LARGEST_BOX, MIXTURES, SMALLEST_BOX
from tests.support.small import sample_batch


def drawn(name, batch, seed=0):
    torch.manual_seed(seed)
    return MIXTURES[name](batch)


def in_pixels(box, each):
    return box.unsqueeze(1).expand_as(each)


@pytest.fixture
def answer(batch):
    return torch.randn(len(batch.unlabelled), 2, 32, 32).double()


def test_nothing_is_mixed_by_default(batch, answer):
    state = torch.get_rng_state()
    mixture = MIXTURES["none"](batch)
    assert all(
        ours is theirs
        for ours, theirs in zip(
            mixture.seen(batch.unlabelled_strong), batch.unlabelled_strong, strict=True
        )
    )
    assert mixture.given(answer) is answer
    assert mixture.counted.all()
    assert torch.equal(torch.get_rng_state(), state), "what is not asked for draws nothing"


@pytest.mark.parametrize("name", ["cut-mix", "cut-out", "copy-paste"])
def test_outside_the_box_all_stays(batch, answer, name):
    mixture = drawn(name, batch)
    outside = ~mixture.box
    pairs = [
        *zip(mixture.seen(batch.unlabelled_strong), batch.unlabelled_strong, strict=True),
        (mixture.given(answer), answer),
    ]
    for ours, before in pairs:
        where = in_pixels(outside, before)
        assert torch.equal(ours[where], before[where])


@pytest.mark.parametrize("name", ["cut-mix", "cut-out"])
def test_a_box_has_its_share_of_the_area(batch, name):
    for seed in range(20):
        shares = drawn(name, batch, seed).box.double().mean((1, 2))
        assert ((shares > SMALLEST_BOX - 0.04) & (shares < LARGEST_BOX + 0.04)).all()


def test_cut_mix_shows_and_asks_what_is_in_the_other_image(batch, answer):
    mixture = drawn("cut-mix", batch)
    assert mixture.counted.all()
    for ours, before in (
        (mixture.seen(batch.unlabelled_strong)[1], batch.unlabelled_strong[1]),
        (mixture.given(answer), answer),
    ):
        where, other = in_pixels(mixture.box, before), before.flip(0)
        assert torch.equal(ours[where], other[where])


def test_cut_out_blanks_and_does_not_ask(batch, answer):
    mixture = drawn("cut-out", batch)
    (view, _) = mixture.seen(batch.unlabelled_strong)
    assert not view[in_pixels(mixture.box, view)].any()
    assert torch.equal(mixture.given(answer), answer)
    assert torch.equal(mixture.counted, ~mixture.box)


def test_copy_paste_shows_labelled_pixels_and_answers_by_their_labels(batch, answer):
    mixture = drawn("copy-paste", batch)
    (view, _) = mixture.seen(batch.unlabelled_strong)
    where = in_pixels(mixture.box, view)
    assert torch.equal(view[where], batch.labelled_strong[where])
    given = mixture.given(answer)
    assert torch.equal(given.argmax(1)[mixture.box], batch.labels[mixture.box])
    assert float(given.softmax(1).amax(1)[mixture.box].min()) > 1 - 1e-8
    assert not (mixture.box & ~batch.valid).any(), "nobody labelled what is to be ignored"
    assert mixture.box.any()


def test_copy_paste_takes_fewer_labelled_images_by_turns():
    batch, labelled = sample_batch(count=3), sample_batch(count=2)
    names = ("labelled", "labelled_strong", "labels", "valid")
    batch = replace(batch, **{name: getattr(labelled, name) for name in names})
    mixture = drawn("copy-paste", batch)
    (view, _) = mixture.seen(batch.unlabelled_strong)
    box = in_pixels(mixture.box, view)[2]
    assert torch.equal(view[2][box], labelled.labelled_strong[0][box])
