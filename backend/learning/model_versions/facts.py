"""What changes of the versions that predict, for those that rest on them."""

from dataclasses import dataclass

from backend.kit.facts import Fact


@dataclass(frozen=True)
class ModelActivated(Fact):
    """Another version predicts from now on. requested_by: the person that asked for it, if any."""

    model_version_id: str
    requested_by: str | None
