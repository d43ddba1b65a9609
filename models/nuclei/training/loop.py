"""The training itself: deterministic on one machine, and taken up again where it stopped."""

import hashlib
import json
import math
import sys
import time
from collections.abc import Collection
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import torch
from safetensors.numpy import save_file
from torch.nn import functional

from models.nuclei.graph import RANGES, ranges_of
from models.nuclei.maps import NucleusMaps
from models.nuclei.training.pictures import Files, drawn, marked, phantoms
from models.nuclei.training.samples import Samples
from models.whole_file import whole_file

STEPS = 1400
BATCH = 12
RATE = 2e-3
DECAY = 1e-3
WARM = 50
"""Steps until the rate is reached; it then falls as a cosine does."""
AVERAGED = 0.99
"""Of the weights that are kept, after each step."""
CENTRE_WEIGHT = 9.0
EVERY = 200
"""Steps between two states that are kept."""
RANGED = 64
"""More samples, on which the ranges for eight bits are measured."""
LICENCES = {
    "her2_nuclei_marked, her2_membrane_traced": "Apache-2.0 (bozeklab/HER2-overexpression)",
    "nuclei_dsb2018_hist, nuclei_dsb2018_cervical_gray": "CC0 (BBBC038, DSB 2018)",
    "phantom": "Apache-2.0 (drawn by models.phantom)",
}


def loss_of(logits: torch.Tensor, targets: torch.Tensor, weights: torch.Tensor) -> torch.Tensor:
    """Cross-entropy per pixel, (B, 2, H, W) each; the middles, few among many, weigh more."""
    each = functional.binary_cross_entropy_with_logits(logits, targets, reduction="none")
    factor = torch.tensor([CENTRE_WEIGHT, 0.0]).view(1, 2, 1, 1)
    weight = weights * (1 + factor * targets)
    return (each * weight).sum() / weight.sum().clamp_min(1)


def train(out: Path, data: Path, *, steps: int, seed: int, without: Collection[str]) -> None:
    """Write nuclei.safetensors and nuclei.json into `out`, going on from its state.pt.

    without: sources of pictures to leave out. Raise SystemExit for a state of other settings.
    """
    torch.set_num_threads(1)
    cv2.setNumThreads(1)
    torch.use_deterministic_algorithms(mode=True)
    torch.manual_seed(seed)
    files = Files(data)
    left = sorted(without)
    pictures = [*marked(data, left, files), *drawn(data, left, files), *phantoms(seed)]
    asked = {"steps": steps, "seed": seed, "without": left, "data": files.sha256}
    run = _Run(Samples(pictures, seed), asked, out / "state.pt")
    run.go_on()
    learned = {
        name: np.ascontiguousarray(value.numpy())
        for name, value in run.averaged.state_dict().items()
        if "num_batches" not in name
    }
    shown = [run.samples(steps * BATCH + number).image for number in range(RANGED)]
    weights_file = out / "nuclei.safetensors"
    save_file({**learned, RANGES: ranges_of(learned, shown)}, weights_file)
    card = {
        "sha256": hashlib.sha256(weights_file.read_bytes()).hexdigest(),
        "trained": asked,
        "licences": LICENCES,
    }
    (out / "nuclei.json").write_text(json.dumps(card, indent=1) + "\n")


def report(step: int, steps: int, loss: float, pace: float) -> None:
    sys.stdout.write(f"{step}/{steps} loss {loss:.4f} {pace:.3f} s a step\n")
    sys.stdout.flush()


class _Run:
    def __init__(self, samples: Samples, asked: dict[str, Any], state: Path) -> None:
        self.samples, self.asked, self.state = samples, asked, state
        self.net = NucleusMaps().train()
        self.averaged = NucleusMaps().eval()
        self.averaged.load_state_dict(self.net.state_dict())
        self.optimiser = torch.optim.AdamW(self.net.parameters(), lr=RATE, weight_decay=DECAY)

    def go_on(self) -> None:
        first, steps = self._restored(), self.asked["steps"]
        began, losses = time.monotonic(), []
        for step in range(first, steps):
            losses.append(self._step(step, steps))
            if (step + 1) % EVERY == 0 or step + 1 == steps:
                self._keep(step + 1)
                pace = (time.monotonic() - began) / (step + 1 - first)
                report(step + 1, steps, float(np.mean(losses)), pace)
                losses = []

    def _step(self, step: int, steps: int) -> float:
        warm = min(1.0, (step + 1) / WARM)
        for group in self.optimiser.param_groups:
            group["lr"] = RATE * warm * (0.01 + 0.99 * (1 + math.cos(math.pi * step / steps)) / 2)
        batch = [self.samples(step * BATCH + number) for number in range(BATCH)]
        image, targets, weights = (
            torch.from_numpy(np.stack([getattr(sample, name) for sample in batch]))
            for name in ("image", "targets", "weights")
        )
        loss = loss_of(self.net(image), targets, weights)
        self.optimiser.zero_grad(set_to_none=True)
        loss.backward()  # type: ignore[no-untyped-call]
        torch.nn.utils.clip_grad_norm_(self.net.parameters(), 1.0)
        self.optimiser.step()
        with torch.no_grad():
            both = self.averaged.state_dict().values(), self.net.state_dict().values()
            for mean, now in zip(*both, strict=True):
                if mean.dtype.is_floating_point:
                    mean.lerp_(now, 1 - AVERAGED)
                else:
                    mean.copy_(now)
        return float(loss.detach())

    def _restored(self) -> int:
        """Take up an earlier run's state; return the step to go on with."""
        if not self.state.exists():
            return 0
        saved: dict[str, Any] = torch.load(self.state, weights_only=True)
        if saved["asked"] != self.asked:
            raise SystemExit(f"{self.state} is of other settings or data: choose another folder.")
        self.net.load_state_dict(saved["net"])
        self.averaged.load_state_dict(saved["averaged"])
        self.optimiser.load_state_dict(saved["optimiser"])
        return int(saved["step"])

    def _keep(self, step: int) -> None:
        document = {
            "asked": self.asked,
            "step": step,
            "net": self.net.state_dict(),
            "averaged": self.averaged.state_dict(),
            "optimiser": self.optimiser.state_dict(),
        }
        with whole_file(self.state) as fresh:
            torch.save(document, fresh)
