"""A COCO export trains a detector as it is: torchvision's own, one step, no weights fetched."""

import io
from contextlib import redirect_stdout
from pathlib import Path
from zipfile import ZipFile

import numpy as np
import pytest
import torch
from pycocotools.coco import COCO
from torchvision.models.detection import maskrcnn_resnet50_fpn

from tests.conftest import Service
from tests.support.ready import patches_of, pixels, put, ready_slide


def membranes() -> np.ndarray:
    """Two cells that touch, one alone, and a corner to ignore."""
    y, x = np.mgrid[:256, :256]
    mask = np.zeros((256, 256), np.uint8)
    for across, down in ((80, 80), (125, 80), (190, 190)):
        away = np.hypot(x - across, y - down)
        mask[(away < 25) & (away > 20)] = 255
    mask[:20, 230:] = 127
    return mask


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_a_stock_detector_learns_from_an_export(service: Service, tmp_path: Path) -> None:
    slide_id = ready_slide(service, width=512, height=256)
    patches = patches_of(service.client, slide_id)
    for patch in patches:
        put(service.client, patch["id"], membranes()).raise_for_status()
    answer = service.client.get(f"/slides/{slide_id}/export?format=coco").raise_for_status()
    with ZipFile(io.BytesIO(answer.content)) as archive, redirect_stdout(io.StringIO()):
        coco = COCO(archive.extract("annotations.json", tmp_path))
    images, targets = [], []
    for number, image in coco.imgs.items():
        patch_id = image["membrana"]["patch_id"]
        picture = pixels(service.client.get(f"/patches/{patch_id}/image.png"))
        images.append(torch.from_numpy(picture.copy()).permute(2, 0, 1) / 255)
        objects = coco.loadAnns(coco.getAnnIds(imgIds=number, iscrowd=False))
        assert len(objects) == 2
        boxes = torch.tensor([each["bbox"] for each in objects], dtype=torch.float32)
        boxes[:, 2:] += boxes[:, :2]
        targets.append(
            {
                "boxes": boxes,
                "labels": torch.tensor([each["category_id"] for each in objects]),
                "masks": torch.from_numpy(np.stack([coco.annToMask(each) for each in objects])),
            }
        )
    torch.manual_seed(0)
    detector = maskrcnn_resnet50_fpn(
        weights=None, weights_backbone=None, num_classes=2, min_size=128, max_size=256
    ).train()
    before = detector.backbone.fpn.inner_blocks[0][0].weight.detach().clone()
    optimiser = torch.optim.SGD(detector.parameters(), lr=1e-3)
    losses = detector(images, targets)
    assert set(losses) >= {"loss_classifier", "loss_box_reg", "loss_mask", "loss_objectness"}
    total = sum(losses.values())
    total.backward()
    optimiser.step()
    assert torch.isfinite(total)
    assert losses["loss_mask"] > 0
    assert not torch.equal(before, detector.backbone.fpn.inner_blocks[0][0].weight)
