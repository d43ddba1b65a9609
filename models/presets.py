"""What a training depends on besides its images, and the named choices (eugmt.md §1.5)."""

from dataclasses import asdict, dataclass, field, replace
from typing import Any

from models.networks import NetworkConfig
from models.semisup.eugmt import MeanTeacherOptions
from models.semisup.method import Options


@dataclass(frozen=True)
class TrainingConfig:
    """Everything a training depends on besides its images: recorded with the model."""

    preset: str = "eugmt-plus"
    method: str = "eugmt"
    options: Options = field(default_factory=MeanTeacherOptions)
    network: NetworkConfig = field(default_factory=NetworkConfig)
    iterations: int = 300
    batch_labelled: int = 4
    batch_unlabelled: int = 4
    crop: int = 128
    learning_rate: float = 1e-4
    weight_decay: float = 0.01
    schedule: str = "constant"
    warm_up: int = 0
    strong: str = "colour"
    seed: int = 0
    checkpoint_every: int = 25
    threads: int = 0
    device: str = "cpu"
    precision: str = "float32"
    """Of the networks' inner layers: `float32` or `bfloat16`. Logits, losses, the selector and the
    weights are always float32."""
    compile: bool = False
    """Have torch compile the networks, where it finds a compiler."""

    def document(self) -> dict[str, Any]:
        """Return the configuration as JSON types."""
        return asdict(self)


AS_UCMT = NetworkConfig("deeplabv3plus", "resnet50", output_stride=8, plain_aspp=True)
"""The network of UCMT's code (eugmt.md §1.2); the paper began from ImageNet weights."""
PAPER = TrainingConfig(
    preset="eugmt-paper",
    network=AS_UCMT,
    iterations=19_600,
    batch_labelled=6,
    batch_unlabelled=6,
    crop=256,
)
PRESETS = {
    "eugmt-paper": PAPER,
    "ucmt": replace(
        PAPER,
        preset="ucmt",
        batch_labelled=8,
        batch_unlabelled=8,
        options=MeanTeacherOptions(unsupervised_weight=0.1, consistency_weight=0.0, ramp_share=0.2),
    ),
    "eugmt-plus": TrainingConfig(
        options=MeanTeacherOptions(
            unsupervised_weight=0.1,
            consistency_weight=0.1,
            # Dice on an unseen phantom slide after ten patches, two seeds, one run each. 300 steps:
            # labels alone 0.772, 0.741 (cold start 0.612, 0.556); pseudo-labels from step 210 on
            # at weight 0.3 0.758, 0.711, at 0.1 in joint batches 0.771, 0.716. From the first of
            # 150 steps on at 0.3: 0.690, 0.652, and 0.763, 0.719 at 0. They never added, so they
            # come late and weigh little. This very choice is not among the runs:
            # `python -m benchmarks.learning` measures it on seeds that nothing was chosen on.
            # Two students that began apart have no useful average: by halves, Dice 0.08.
            labelled_share=0.8,
            ramp_share=0.2,
            ema_limit=0.97,
            student_mix=0.99,
            loss="dice+ce",
            steady_teacher=True,
            strong_labelled=True,
            grid=16,
        ),
        learning_rate=2e-3,
        schedule="cosine",
        warm_up=10,
        strong="stain",
    ),
    "supervised": TrainingConfig(
        preset="supervised",
        method="supervised",
        options=Options(loss="dice+ce", strong_labelled=True),
        learning_rate=2e-3,
        schedule="cosine",
        warm_up=10,
        strong="stain",
    ),
}


def preset(name: str, **changes: Any) -> TrainingConfig:
    """Return a preset with changes. Raises ValueError for an unknown name."""
    if name not in PRESETS:
        raise ValueError(f"There is no preset {name!r}; choose one of {', '.join(PRESETS)}.")
    return replace(PRESETS[name], **changes)
