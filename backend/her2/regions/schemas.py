"""Regions as GeoJSON, with what QuPath needs to show them in its own colours."""

from datetime import datetime
from typing import Annotated, Any, Literal

from pydantic import BaseModel
from typing_extensions import TypedDict

from backend.her2.regions.geojson import COLOURS, Region
from backend.her2.regions.service import Regions
from backend.her2.regions.tables import RegionKind
from backend.kit.contract import FULL, OF_ROW, Shown
from backend.learning.annotations.schemas import Author

Ring = list[tuple[float, float]]


class Polygon(TypedDict):
    type: Literal["Polygon"]
    coordinates: list[Ring]


class MultiPolygon(TypedDict):
    type: Literal["MultiPolygon"]
    coordinates: list[list[Ring]]


class Geometry(BaseModel):
    type: Literal["Polygon", "MultiPolygon"]
    coordinates: list[Any]


class Classification(BaseModel):
    name: str
    color: tuple[int, int, int]


class RegionProperties(BaseModel):
    model_config = FULL

    kind: RegionKind
    name: str
    area_um2: float
    objectType: Literal["annotation"] = "annotation"  # noqa: N815 - QuPath's word
    classification: Classification


class RegionFeature(BaseModel):
    model_config = FULL

    type: Literal["Feature"] = "Feature"
    id: str
    geometry: Annotated[Geometry, Shown(Polygon | MultiPolygon)]
    properties: RegionProperties

    @classmethod
    def of(cls, region: Region, mpp: float) -> "RegionFeature":
        shape = region.feature()["geometry"]
        return cls(
            id=region.id,
            geometry=Geometry(**shape),
            properties=RegionProperties(
                kind=region.kind,
                name=region.name,
                area_um2=round(region.area * mpp * mpp, 2),
                classification=Classification(
                    name=str(region.kind).capitalize(), color=COLOURS[region.kind]
                ),
            ),
        )


class RegionsOut(BaseModel):
    """A GeoJSON FeatureCollection; revision, sha256 and author are of the whole set.

    features_left: of what was sent, how many features of each other class were not taken.
    """

    model_config = FULL

    type: Literal["FeatureCollection"] = "FeatureCollection"
    features: list[RegionFeature]
    revision: int
    sha256: str
    author: Author | None
    changed_at: datetime | None
    features_left: dict[str, int]

    @classmethod
    def of(cls, regions: Regions) -> "RegionsOut":
        row = regions.row
        return cls(
            features=[RegionFeature.of(each, regions.slide.mpp or 0.0) for each in regions.regions],
            revision=regions.revision,
            sha256=regions.sha256,
            author=row and Author.of(row.author),
            changed_at=row and row.created_at,
            features_left=dict(regions.left),
        )


class RegionRevision(BaseModel):
    """A revision as it is listed: who changed what, when; the set at `?revision=`."""

    model_config = OF_ROW

    revision: int
    sha256: str
    change: str
    region_count: int
    author: Author
    created_at: datetime
