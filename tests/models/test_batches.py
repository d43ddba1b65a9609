from dataclasses import replace

import numpy as np
import torch

from models.augment import normalise
from models.batches import WHOLE, Drawing, draw, step_seed
from models.prefetch import Prefetch
from models.presets import preset

CONFIG = replace(preset("eugmt-plus"), batch_labelled=3, batch_unlabelled=2, crop=16)


def arrays():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (4, 24, 24, 3), dtype=np.uint8)
    masks = np.where(images[..., 0] > 170, 255, 0).astype(np.uint8)
    masks[images[..., 0] < 40] = 127
    return images, masks, rng.integers(0, 256, (5, 24, 24, 3), dtype=np.uint8)


def test_labels_lie_on_their_pixels():
    batch = draw(CONFIG, *arrays(), step=3)
    red = batch.labelled[:, 0] * 0.229 + 0.485
    assert torch.equal(batch.labels.bool(), red > 170.5 / 255)
    assert torch.equal(batch.valid, red > 39.5 / 255)
    assert batch.labels.shape == (3, 16, 16)


def test_views_share_their_geometry():
    batch = draw(CONFIG, *arrays(), step=0)
    assert [len(view) for view in batch.unlabelled_strong] == [2, 2]
    assert not torch.equal(*batch.unlabelled_strong)
    assert (batch.unlabelled_noisy - batch.unlabelled).abs().max() <= 0.2001
    for weak, strong in [
        (batch.labelled, batch.labelled_strong),
        *((batch.unlabelled, view) for view in batch.unlabelled_strong),
    ]:
        for one, other in zip(weak, strong, strict=True):
            both = torch.stack([one.mean(0).flatten(), other.mean(0).flatten()])
            # noise, blurred: 0.4 and more; of a view that lies elsewhere about 0
            assert torch.corrcoef(both)[0, 1] > 0.25


def test_a_step_is_drawn_the_same_whenever_it_is_drawn():
    first, again, other = (draw(CONFIG, *arrays(), step=step) for step in (5, 5, 6))
    assert torch.equal(first.labelled_strong, again.labelled_strong)
    assert torch.equal(first.unlabelled_noisy, again.unlabelled_noisy)
    assert not torch.equal(first.labelled, other.labelled)
    seeded = draw(replace(CONFIG, seed=1), *arrays(), step=5)
    assert not torch.equal(first.labelled, seeded.labelled)


def test_every_image_is_drawn():
    images, masks, unlabelled = arrays()
    for index, image in enumerate(images):
        image[:] = index * 60
    found = set()
    for step in range(20):
        batch = draw(CONFIG, images, masks, unlabelled, step=step)
        found |= {round(float(red)) for red in (batch.labelled[:, 0, 0, 0] * 0.229 + 0.485) * 255}
    assert found == {0, 60, 120, 180}
    white = normalise(torch.ones(1, 3, 1, 1))
    assert batch.labelled.max() <= white.max()


def test_seeds_of_steps_and_streams_differ():
    seeds = {step_seed(s, t, stream=k) for s in range(5) for t in range(50) for k in range(3)}
    assert len(seeds) == 750
    assert all(0 <= seed < 2**63 for seed in seeds)


def test_whole_images_are_spread_over_all_and_the_same_at_any_step():
    images, masks, unlabelled = arrays()
    batches = [draw(CONFIG, images, masks, unlabelled, step=step) for step in (0, 7)]
    assert torch.equal(batches[0].whole, batches[1].whole)
    # of 24 px as many as are whole crops of 16 px
    assert batches[0].whole.shape == (WHOLE, 3, 16, 16)
    pixels = torch.from_numpy(unlabelled[:, :16, :16]).permute(0, 3, 1, 2)
    every = normalise(pixels.float() / 255)
    # of five images each comes again, in their order
    times = [int((batches[0].whole == each).all((1, 2, 3)).sum()) for each in every]
    assert sum(times) == WHOLE
    assert min(times) >= 3


def test_what_a_method_reads_once_is_not_made_ahead():
    made = []

    class Noted(Drawing):
        def make(self, name):
            made.append((self.step, name))
            return super().make(name)

    def begin(step):
        return Noted(CONFIG, *arrays(), step)

    with Prefetch(begin, 0, 4) as ahead:
        first = ahead.take()
        assert len(first.whole) == WHOLE
        assert len(first.labelled) == 3
        for _ in range(3):
            assert len(ahead.take().labelled) == 3
    assert [step for step, name in made if name == "whole"] == [0]
    assert (3, "labelled") in made
