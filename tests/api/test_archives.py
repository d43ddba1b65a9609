"""Zips as laboratories make them: the slide in one is found, or people hear the true reason."""

import io
import zipfile
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Any

import highdicom as hd
import numpy as np
import pydicom
import pytest
from PIL import Image
from pydicom.dataset import Dataset, FileMetaDataset
from pydicom.sr.codedict import codes
from pydicom.uid import (
    UID,
    ComprehensiveSRStorage,
    ExplicitVRLittleEndian,
    HTJ2KLossless,
    JPEGExtended12Bit,
    JPEGLSLossless,
    MediaStorageDirectoryStorage,
    generate_uid,
)

from models.phantom import PhantomSpec, field
from tests.conftest import Service
from tests.support import odd_tiffs
from tests.support.dicom_slide import dicom_file
from tests.support.intake import ingested, upload
from tests.support.vendor_slides import Rgb, leica_scn, mirax_zip

Files = dict[str, bytes]
Json = dict[str, Any]
MPP = 0.25
BLANK = np.zeros((512, 512, 3), np.uint8)
# what a zip holds is the same on either engine
pytestmark = pytest.mark.parametrize("settings", ["sqlite"], indirect=True)


def zipped(files: Files) -> bytes:
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, content in files.items():
            # the name as it is: ZipInfo's own constructor is for this system's
            member = zipfile.ZipInfo("x")
            member.filename = name
            archive.writestr(member, content)
    return packed.getvalue()


def unzipped(content: bytes) -> Files:
    with zipfile.ZipFile(io.BytesIO(content)) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def slide_of(service: Service, files: Files | bytes) -> Json:
    content = files if isinstance(files, bytes) else zipped(files)
    return ingested(service, content, "case.zip")


def failure(service: Service, files: Files | bytes) -> tuple[str, str]:
    slide = slide_of(service, files)
    assert slide["state"] == "failed", slide
    return slide["problem"]["code"], slide["problem"]["detail"]


def refusal(service: Service, files: Files, name: str = "case.zip") -> tuple[str, str]:
    answer = service.client.post("/slides", files={"file": (name, zipped(files))})
    assert answer.status_code == 422, answer.text
    return answer.json()["code"], answer.json()["detail"]


def level(*, syntax: UID | None = None, **values: Any) -> bytes:
    """A whole-slide image of 512 px, with other headers if wished."""
    made = pydicom.dcmread(dicom_file(512, 512))
    if values:
        made.SOPInstanceUID = made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.file_meta.TransferSyntaxUID = syntax or made.file_meta.TransferSyntaxUID
    for name, value in values.items():
        setattr(made, name, value)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def other_object(kind: UID, **values: Any) -> bytes:
    """A DICOM file of another kind than a slide."""
    made = Dataset()
    made.file_meta = FileMetaDataset()
    made.file_meta.TransferSyntaxUID = ExplicitVRLittleEndian
    made.file_meta.MediaStorageSOPClassUID = kind
    made.file_meta.MediaStorageSOPInstanceUID = generate_uid()
    made.SOPClassUID, made.SOPInstanceUID = kind, made.file_meta.MediaStorageSOPInstanceUID
    made.SeriesInstanceUID = generate_uid()
    for name, value in values.items():
        setattr(made, name, value)
    buffer = io.BytesIO()
    made.save_as(buffer, enforce_file_format=True)
    return buffer.getvalue()


def segmentation() -> bytes:
    source = pydicom.dcmread(dicom_file(512, 512))
    kinds = hd.seg.SegmentAlgorithmTypeValues
    made = hd.seg.Segmentation(
        [source],
        np.ones((1, 512, 512), np.uint8),
        hd.seg.SegmentationTypeValues.BINARY,
        [
            hd.seg.SegmentDescription(
                1, "x", codes.SCT.AnatomicalStructure, codes.SCT.Cell, kinds.MANUAL
            )
        ],
        generate_uid(),
        1,
        generate_uid(),
        1,
        "x",
        "x",
        "1",
        "1",
        tile_pixel_array=True,
    )
    buffer = io.BytesIO()
    made.save_as(buffer)
    return buffer.getvalue()


@cache
def mirax() -> Files:
    spec = PhantomSpec(seed=5, her2="3+", mpp=MPP, tumour=1.0)
    picture: Rgb = np.ascontiguousarray(field(spec, (1024, 1024)).image)
    return unzipped(mirax_zip(picture, MPP, "case"))


@pytest.mark.parametrize("name", ["dcm_dicomdir_same_folder", "dcm_backslash"])
def test_slides_of_discs_and_of_windows_are_read(
    service: Service, shared_data: Path, name: str
) -> None:
    slide = slide_of(service, (shared_data / "intake" / f"{name}.zip").read_bytes())
    assert (slide["state"], slide["problem"], slide["width"]) == ("ready", None, 1024)


def test_two_series_in_one_folder_are_refused_by_name(service: Service, shared_data: Path) -> None:
    content = (shared_data / "intake" / "dcm_two_slides_one_folder.zip").read_bytes()
    code, detail = failure(service, content)
    assert code == "several_slides"
    assert "s1_0.dcm and 2 more files" in detail
    assert "s2_0.dcm and 2 more files" in detail
    assert detail.count("series 2.25.") == 2 or detail.count("series 1.") == 2


@pytest.mark.parametrize(
    "before",
    [
        other_object(MediaStorageDirectoryStorage),
        other_object(ComprehensiveSRStorage, Modality="SR"),
        segmentation(),
        other_object(UID("1.2.840.10008.5.1.4.1.1.2"), Modality="CT", Rows=1, Columns=1),
        # the label in a series of its own
        level(SeriesInstanceUID="1.2.3", ImageType=["ORIGINAL", "PRIMARY", "LABEL", "NONE"]),
    ],
    ids=["dicomdir", "sr", "seg", "ct", "label"],
)
def test_what_lies_before_the_slide_by_name_does_not_hide_it(
    service: Service, before: bytes
) -> None:
    slide = slide_of(service, {"0/0": before, "0/b": level(), "a": before})
    assert (slide["state"], slide["problem"], slide["width"]) == ("ready", None, 512)


def test_levels_in_folders_of_their_own_are_one_slide(service: Service, shared_data: Path) -> None:
    files = sorted((shared_data / "wsi_vendor" / "dicom_cmu1").glob("*.dcm"))
    apart = {f"DICOM/{number}/IM0": path.read_bytes() for number, path in enumerate(files)}
    together = {path.name: path.read_bytes() for path in files}
    slides = [slide_of(service, each) for each in (apart, together)]
    assert slides[0]["state"] == "ready"
    for name in ("width", "height", "mpp", "patch_count"):
        assert slides[0][name] == slides[1][name]
    tiles = [
        service.client.get(f"/slides/{slide['id']}_files/8/0_0.png").content for slide in slides
    ]
    assert tiles[0] == tiles[1]


@pytest.mark.parametrize(
    ("values", "said"),
    [
        ({"syntax": JPEGLSLossless}, "JPEG-LS Lossless"),
        ({"syntax": HTJ2KLossless}, "High-Throughput JPEG 2000"),
        ({"syntax": JPEGExtended12Bit}, "JPEG Extended"),
        ({"TotalPixelMatrixFocalPlanes": 5}, "5 focal planes"),
        ({"NumberOfOpticalPaths": 3}, "3 optical paths"),
        ({"BitsAllocated": 16}, "3 channels of 16 bits"),
        ({"SamplesPerPixel": 1}, "1 channel of 8 bits"),
    ],
)
def test_why_a_dicom_slide_can_not_be_read_reaches_the_person(
    service: Service, values: Json, said: str
) -> None:
    content = level(**values)
    code, detail = failure(service, {"a/0.dcm": content})
    assert code == "dicom_unsupported"
    assert said in detail
    alone = service.client.post("/slides", files={"file": ("0.dcm", content)})
    assert (alone.status_code, alone.json()["code"]) == (422, "dicom_unsupported")
    assert said in alone.json()["detail"]


def test_dicom_that_is_no_slide_says_what_it_is(service: Service) -> None:
    report = other_object(ComprehensiveSRStorage)
    code, detail = failure(
        service, {"x/report": report, "DICOMDIR": other_object(MediaStorageDirectoryStorage)}
    )
    assert code == "archive_without_slide"
    assert "DICOMDIR, the table of contents of a disc" in detail
    assert "Comprehensive SR" in detail
    alone = service.client.post("/slides", files={"file": ("0.dcm", report)})
    assert (alone.status_code, alone.json()["code"]) == (422, "dicom_not_a_slide")
    assert "Comprehensive SR" in alone.json()["detail"]


@pytest.mark.parametrize(
    ("files", "names"),
    [
        (
            {
                name: level(SeriesInstanceUID=f"1.2.{number}")
                for number, name in enumerate(("a/0", "b/0"))
            },
            ("a/0", "b/0"),
        ),
        # one series, two glasses
        ({"0.dcm": level(), "1.dcm": level(ContainerIdentifier="B7")}, ("0.dcm", "1.dcm")),
        ({"0.dcm": level(PyramidUID="1.2"), "1.dcm": level(PyramidUID="1.3")}, ("0.dcm", "1.dcm")),
        (
            {"0.dcm": level(), "scan.svs": leica_scn(BLANK, MPP, left=0, top=0)},
            ("0.dcm", "scan.svs"),
        ),
    ],
    ids=["folders", "containers", "pyramids", "file"],
)
def test_of_several_slides_none_is_taken_for_the_others(
    service: Service, files: Files, names: tuple[str, ...]
) -> None:
    code, detail = failure(service, files)
    assert code == "several_slides"
    assert "holds 2 slides" in detail
    assert all(name in detail for name in names)


def test_two_mirax_slides_in_a_zip_are_refused_by_name(service: Service) -> None:
    other = {name.replace("case", "second", 1): content for name, content in mirax().items()}
    code, detail = failure(service, {**mirax(), **other})
    assert code == "several_slides"
    assert "case.mrxs" in detail
    assert "second.mrxs" in detail


@pytest.mark.parametrize(
    "changed",
    [
        lambda name: name.replace("/", "\\"),
        lambda name: f"2026-11-30 12:45/{name}",
        lambda name: name.upper(),
        lambda name: name.lower(),
        lambda name: name.removeprefix("case/"),
        lambda name: f"export/{name}",
    ],
    ids=["backslashes", "colon", "upper", "lower", "no folder", "nested"],
)
def test_a_mirax_zip_of_any_system_is_read(service: Service, changed: Callable[[str], str]) -> None:
    files = {changed(name): content for name, content in mirax().items()}
    folders = {f"{changed('case')}\\" if "\\" in changed("a/b") else f"{changed('case')}/": b""}
    slide = slide_of(service, {**folders, **files})
    assert (slide["state"], slide["problem"], slide["width"]) == ("ready", None, 1024)


def test_what_a_mac_adds_is_no_part_of_a_slide(service: Service) -> None:
    forks = {}
    for name in mirax():
        folder, _, file = name.rpartition("/")
        forks[f"__MACOSX/{folder}/._{file}".replace("//", "/")] = b"\0\5\x16\7fork"
        forks[f"{folder}/._{file}".lstrip("/")] = b"\0\5\x16\7fork"
    slide = slide_of(service, {".DS_Store": b"x", "case/.DS_Store": b"y", **forks, **mirax()})
    assert (slide["state"], slide["problem"], slide["width"]) == ("ready", None, 1024)


@pytest.mark.parametrize(
    ("files", "code", "said"),
    [
        (
            {"case.svs": b"x", "readme.txt": b"y"},
            "archive_without_slide",
            "case.svs: a slide of a single file",
        ),
        ({"a/b.NDPI": b"x"}, "archive_without_slide", "a/b.NDPI"),
        ({"case.zip": b"PK"}, "archive_without_slide", "case.zip: neither"),
        ({"__MACOSX/._x": b""}, "archive_without_slide", "no file"),
        ({}, "archive_without_slide", "no file"),
        ({"case.mrxs": b"x", "other.txt": b""}, "slide_incomplete", "case.mrxs"),
        ({**mirax(), "second.mrxs": b"x"}, "slide_incomplete", "second.mrxs"),
        ({"a\\..\\..\\b": b"x", "0.dcm": level()}, "archive_unsafe", "leads out"),
        ({"C:\\case\\0.dcm": level()}, "archive_unsafe", "leads out"),
        ({"\\\\server\\case\\0.dcm": level()}, "archive_unsafe", "leads out"),
        ({"a\\0.dcm": level(), "a/0.DCM": level()}, "archive_unsafe", "two files of one name"),
        ({f"{'long' * 80}.dcm": level()}, "archive_unsafe", "too long"),
    ],
)
def test_what_can_not_be_taken_is_refused_with_its_reason(
    service: Service, files: Files, code: str, said: str
) -> None:
    found, detail = refusal(service, files)
    assert (found, said in detail) == (code, True), detail


@pytest.mark.parametrize(
    ("name", "content"),
    [
        ("case.mrxs", b"\xff\xd8\xff\xe0 a preview"),
        ("case.MRXS", b""),
        ("Slidedat.ini", b"[GENERAL]\nSLIDE_ID = x\n"),
        ("Data0001.dat", bytes(range(256))),
    ],
)
def test_a_lone_file_of_mirax_is_told_to_come_with_its_folder(
    service: Service, name: str, content: bytes
) -> None:
    answer = service.client.post("/slides", files={"file": (name, content)})
    assert (answer.status_code, answer.json()["code"]) == (422, "slide_incomplete")
    assert "together with that folder into a zip" in answer.json()["detail"]


def test_a_damaged_level_is_not_left_out(service: Service) -> None:
    whole = level()
    damaged = whole[:160] + bytes(200) + whole[360:]
    code, detail = failure(service, {"0.dcm": level(SeriesInstanceUID="1.2.3"), "1.dcm": damaged})
    assert (code, "1.dcm is damaged" in detail) == ("dicom_damaged", True)
    assert upload(service, zipped({"0.dcm": level()}))["state"] == "uploaded"


@pytest.mark.parametrize("left", [0, 100, 5000])
def test_a_level_of_which_only_the_name_is_left_is_not_left_out(
    service: Service, left: int
) -> None:
    """OpenSlide would show the slide at the next level's resolution, as if it were all."""
    junk = bytes(range(1, 101)) * 50
    code, detail = failure(service, {"a/0.dcm": level(), "a/1.DCM": junk[:left]})
    assert (code, "1.DCM is damaged" in detail) == ("dicom_damaged", True)


def test_a_tiff_beside_a_dicom_object_is_held_to_what_a_lone_one_is(
    service: Service, tmp_path: Path
) -> None:
    path = odd_tiffs.written(tmp_path / "a.tif", compression="lzma")
    code, detail = failure(service, {"0.dcm": segmentation(), "a.tif": path.read_bytes()})
    assert (code, "LZMA" in detail) == ("unsupported_compression", True)


@pytest.mark.parametrize("beside", ["picture", "object", "table of contents", "nothing"])
def test_what_lies_beside_a_slide_in_a_zip_is_named(service: Service, beside: str) -> None:
    picture = io.BytesIO()
    Image.fromarray(np.zeros((40, 40, 3), np.uint8)).save(picture, "PNG")
    more: Files = {
        "picture": {"macro/label.png": picture.getvalue()},
        "object": {"seg.dcm": segmentation()},
        "table of contents": {"DICOMDIR": other_object(MediaStorageDirectoryStorage)},
        "nothing": {"readme.txt": b"from the scanner"},
    }[beside]
    slide = slide_of(service, {"0.dcm": level(), **more})
    assert slide["state"] == "ready"
    assert ("files_left_out" in slide["qc"]) == (beside in {"picture", "object"})
