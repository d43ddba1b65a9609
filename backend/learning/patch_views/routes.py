"""Patches over HTTP: listed, and as pictures with what models see in them."""

from dataclasses import dataclass
from typing import Annotated

from fastapi import APIRouter, Depends, Query, Request, Response

from backend.kit import conditional
from backend.kit.dependencies import CurrentSettings, ReadSession
from backend.kit.paging import Cursor, Limit, Page
from backend.learning.patch_views import service
from backend.learning.patch_views.schemas import AreaOut, PatchOut, UncertainAreas
from backend.learning.patch_views.service import Order
from backend.learning.predictions import areas, patch_layers
from backend.learning.predictions.patch_layers import PatchLayer
from backend.people.users.guards import Viewer
from backend.slides.catalogue import service as slides
from backend.slides.patches import images
from backend.slides.patches import service as patches
from backend.slides.patches.tables import PatchState

router = APIRouter(tags=["patches"])
OF_MODEL = Query(
    description="A model version's id; without it the one whose prediction the slide shows: the "
    "active one, once it has seen the whole slide."
)
ModelVersionId = Annotated[str | None, OF_MODEL]
AN_HOUR = "private, max-age=3600"


@dataclass(frozen=True)
class LayerRequest:
    """Whose view of a patch is asked for: a dependency of the routes that show one."""

    request: Request
    session: ReadSession
    settings: CurrentSettings
    model_version: ModelVersionId = None

    def answer(self, patch_id: str, layer: PatchLayer) -> Response:
        """Return one layer of the view as a PNG."""
        patch = patches.get(self.session, patch_id)
        prediction = patch_layers.prediction_of(self.session, patch, self.model_version)
        slide = slides.get(self.session, patch.slide_id)
        return conditional.picture(
            self.request,
            patch_layers.layer_etag(self.session, patch, prediction, layer),
            lambda: images.png(
                patch_layers.pixels_of(slide, patch, prediction, layer, self.settings)
            ),
        )


Layers = Annotated[LayerRequest, Depends()]


@router.get("/slides/{slide_id}/patches")
def list_patches(
    session: ReadSession,
    user: Viewer,
    slide_id: str,
    order: Order = "uncertainty",
    state: PatchState | None = None,
    model_version: ModelVersionId = None,
    limit: Limit = 100,
    cursor: Cursor = None,
) -> Page[PatchOut]:
    """List a slide's patches, those that a person should look at first in front."""
    slides.get(session, slide_id)
    views, next_cursor = service.listing(
        session,
        slide_id,
        order=order,
        state=state,
        model_version_id=model_version,
        limit=limit,
        cursor=cursor,
    )
    return Page(items=[PatchOut.of(view, user) for view in views], next_cursor=next_cursor)


@router.get("/patches/{patch_id}")
def get_patch(session: ReadSession, response: Response, user: Viewer, patch_id: str) -> PatchOut:
    """Show a patch; its ETag names the newest annotation revision, for If-Match."""
    patch = patches.get(session, patch_id)
    response.headers["ETag"] = conditional.revision_etag(patch.revision)
    response.headers["Cache-Control"] = conditional.REVALIDATE
    return PatchOut.of(service.view(session, patch), user)


@router.get("/patches/{patch_id}/image.png", response_class=Response)
def get_image(
    request: Request, session: ReadSession, settings: CurrentSettings, user: Viewer, patch_id: str
) -> Response:
    """Return the pixels that the model reads: RGB, 256×256 analysis px."""
    patch = patches.get(session, patch_id)
    slide = slides.get(session, patch.slide_id)
    return conditional.picture(
        request,
        images.image_etag(slide, patch),
        lambda: images.image(slide, patch, settings),
        cache=AN_HOUR,
    )


@router.get("/patches/{patch_id}/proposal.png", response_class=Response)
def get_proposal(user: Viewer, layers: Layers, patch_id: str) -> Response:
    """Return the model's mask: 255 where membrane is at least as probable as not."""
    return layers.answer(patch_id, PatchLayer.PROPOSAL)


@router.get("/patches/{patch_id}/probability.png", response_class=Response)
def get_probability(user: Viewer, layers: Layers, patch_id: str) -> Response:
    """Return the membrane probability, 0–255."""
    return layers.answer(patch_id, PatchLayer.PROBABILITY)


@router.get("/patches/{patch_id}/uncertain_pixels.png", response_class=Response)
def get_uncertain_pixels(user: Viewer, layers: Layers, patch_id: str) -> Response:
    """Return the areas worth a look as a mask: 255 = review first, few and none of a few pixels."""
    return layers.answer(patch_id, PatchLayer.UNCERTAIN_PIXELS)


@router.get("/patches/{patch_id}/uncertain_areas")
def list_uncertain_areas(
    session: ReadSession,
    settings: CurrentSettings,
    user: Viewer,
    patch_id: str,
    model_version: ModelVersionId = None,
) -> UncertainAreas:
    """List the areas of the same mask, the one that holds most doubt first."""
    patch = patches.get(session, patch_id)
    prediction = patch_layers.prediction_of(session, patch, model_version)
    slide = slides.get(session, patch.slide_id)
    return UncertainAreas(
        model_version_id=prediction.model_version_id,
        items=[
            AreaOut.model_validate(each)
            for each in areas.areas_of(slide, patch, prediction, settings)
        ],
    )
