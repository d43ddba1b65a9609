"""MONAI Label's answers, as its clients read them."""

from typing import Any

from pydantic import BaseModel

from backend import __version__


class Model(BaseModel):
    type: str = "segmentation"
    labels: dict[str, int] = {"membrane": 255}
    dimension: int = 2
    description: str
    config: dict[str, Any]


class Status(BaseModel):
    """Patches, those that people have annotated, and the same by tag."""

    total: int
    completed: int
    label_tags: dict[str, int]


class Objects(BaseModel):
    """Images by id, with their labels by tag."""

    name: str = "Membrana"
    description: str = "Patches of slides, and people's masks of them"
    objects: dict[str, dict[str, Any]]


class Info(BaseModel):
    name: str = "Membrana"
    description: str = "HER2 membranes. For research use only."
    version: str = __version__
    labels: list[str] = ["membrane"]
    models: dict[str, Model]
    trainers: dict[str, dict[str, Any]]
    strategies: dict[str, dict[str, Any]]
    scoring: dict[str, Any] = {}
    train_stats: dict[str, Any] = {}
    datastore: Status


class Sample(BaseModel, extra="allow"):
    """The next image; without `id` nothing waits."""


class SavedLabel(BaseModel):
    image: str
    label: str
    revision: int


class Task(BaseModel, extra="allow"):
    id: str
    category: str
    status: str
