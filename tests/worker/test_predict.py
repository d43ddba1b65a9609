"""Prediction as a job: resumed, raced, doubled, damaged: the same result, once."""

import threading
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import tifffile
from sqlalchemy import func, select, update

from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.jobs.service import LeaseLost
from backend.jobs.tables import Job, JobState
from backend.kit.events.tables import Event
from backend.kit.geometry import Region0
from backend.learning.predictions import service as predictions
from backend.learning.predictions.tables import PatchPrediction, Prediction, PredictionShard
from backend.slides.catalogue import service as slides
from backend.slides.catalogue.tables import Slide
from backend.slides.patches.tables import Patch
from backend.slides.reading.reader import open_slide
from models.areas import worth_a_look
from models.blending import predict_region
from models.cold_start import ColdStart
from models.selection import quantised
from tests.conftest import Service
from tests.support.ready import PREDICT, patches_of, phantom, pixels, predicted_slide, ready_slide
from tests.support.ready import request as ask
from worker.context import JobContext, ShuttingDown
from worker.handlers import predict
from worker.handlers.predict import Behind
from worker.run import run_job
from worker.shards import PredictedShard, ShardPlan

SIZE = {"width": 2560, "height": 512}
"""Two shards of 16 and 4 patches."""
RIGHT = Region0(2100, 0, 100, 100)


def state(service: Service, slide_id: str) -> dict[str, Any]:
    """All that a prediction has made, without ids and times."""
    with service.database.reading() as session:
        prediction = predictions.shown(session, slide_id)
        assert prediction is not None
        rows = session.execute(
            select(Patch, PatchPrediction)
            .outerjoin(PatchPrediction, PatchPrediction.patch_id == Patch.id)
            .where(Patch.slide_id == slide_id)
            .order_by(Patch.row, Patch.column)
        ).all()
        places = session.scalars(
            select(PredictionShard)
            .where(PredictionShard.prediction_id == prediction.id)
            .order_by(PredictionShard.row, PredictionShard.column)
        ).all()
        return {
            "finished": prediction.finished_at is not None,
            "sha256": prediction.sha256,
            "shards": [(each.row, each.column, each.sha256) for each in places],
            "patches": [
                (
                    patch.row,
                    patch.column,
                    str(patch.state),
                    patch.problem,
                    *(
                        (each.score, each.entropy, each.descriptor, each.rank, each.reason)
                        if each
                        else ()
                    ),
                )
                for patch, each in rows
            ],
        }


def undisturbed(service: Service, slide_id: str) -> dict[str, Any]:
    """Forget what was predicted and predict again in peace."""
    with service.database.writing() as session:
        predictions.forget(session, slides.get(session, slide_id), service.settings)
    ask(service, slide_id)
    service.run_jobs(PREDICT)
    return state(service, slide_id)


def claimed(service: Service, job_id: str, kind: type[JobContext] = JobContext) -> JobContext:
    settings = service.settings
    with service.database.writing() as session:
        job = jobs.claim(session, job_id, owner="me", lease_seconds=settings.lease_seconds)
    assert job is not None
    return kind(job, owner="me", database=service.database, settings=settings)


class Interrupted(JobContext):
    """A worker that is told to shut down while it works on the second shard."""

    checks = 0

    def check(self) -> None:
        self.checks += 1
        if self.checks > 3:
            self._end = ShuttingDown
        super().check()


def test_a_slide_is_predicted_ranked_and_announced(service: Service) -> None:
    slide_id = ready_slide(service, **SIZE)
    job_id = ask(service, slide_id)
    service.run_jobs(PREDICT)
    done = state(service, slide_id)
    assert done["finished"]
    assert [shard[:2] for shard in done["shards"]] == [(0, 0), (0, 1)]
    assert {patch[2] for patch in done["patches"]} == {"proposed"}
    assert sorted(patch[7] for patch in done["patches"]) == list(range(1, 21))
    listed = service.client.get(f"/slides/{slide_id}/patches").json()["items"]
    assert len(listed) == 20
    assert all(patch["reason"]["text"] for patch in listed), "the words are made when it is shown"
    with service.database.reading() as session:
        assert jobs.get(session, job_id).state == JobState.SUCCEEDED
        [event] = session.scalars(select(Event).where(Event.topic == "proposals")).all()
    assert event.subject_id == slide_id
    assert event.data["finished"]


def test_the_stored_pixels_are_the_predictors(service: Service) -> None:
    """The whole slide's, blended: what a picture of it has on the command line."""
    slide_id = predicted_slide(service, **SIZE)
    with service.database.reading() as session:
        slide = slides.get(session, slide_id)
    reader = open_slide(slide, service.settings)
    whole = predict_region(ColdStart(), reader.read(Region0(0, 0, 2560, 512), (2560, 512)))
    reader.close()
    places = [(256 * row, 2048 + 256 * column) for row in range(2) for column in range(2)]
    boxes = [np.s_[y : y + 256, x : x + 256] for y, x in places]
    probability = np.stack([whole.probability[0][box] for box in boxes])
    students = np.stack([whole.students[:, 0][:, *box] for box in boxes], axis=1)
    flagged = worth_a_look(probability, students)
    listed = patches_of(service.client, slide_id, order="position")
    right = [patch for patch in listed if patch["column"] >= 8]
    assert len(right) == 4
    for index, patch in enumerate(right):
        stored = pixels(service.client.get(f"/patches/{patch['id']}/probability.png"))
        np.testing.assert_array_equal(stored, quantised(probability[index : index + 1])[0])
        proposal = pixels(service.client.get(f"/patches/{patch['id']}/proposal.png"))
        np.testing.assert_array_equal(proposal == 255, probability[index] >= 0.5)
        uncertain = pixels(service.client.get(f"/patches/{patch['id']}/uncertain_pixels.png"))
        np.testing.assert_array_equal(uncertain == 255, flagged[index])


def test_a_job_that_is_cut_off_goes_on_where_it_was(service: Service) -> None:
    slide_id = ready_slide(service, **SIZE)
    job_id = ask(service, slide_id)
    with pytest.raises(ShuttingDown):
        predict.run(claimed(service, job_id, Interrupted))
    half = state(service, slide_id)
    assert [shard[:2] for shard in half["shards"]] == [(0, 0)]
    assert not half["finished"]
    with service.database.reading() as session:
        [first] = session.scalars(select(PredictionShard)).all()
    with service.database.writing() as session:
        jobs.hand_over(session, service.settings, job_id, owner="me")
    service.run_jobs(PREDICT)
    whole = state(service, slide_id)
    assert whole["finished"]
    with service.database.reading() as session:
        kept = session.scalars(select(PredictionShard).order_by(PredictionShard.column)).all()
    assert kept[0].created_at == first.created_at, "what was finished is not computed again"
    assert {shard.computed_by for shard in kept} == {f"{ColdStart().backend}, tiles 1072/1024"}
    assert whole == undisturbed(service, slide_id)


def test_a_viewport_comes_first_and_changes_nothing(service: Service) -> None:
    slide_id = ready_slide(service, **SIZE)
    ask(service, slide_id)
    ask(service, slide_id, box=RIGHT)
    service.run_jobs((JobKind.PREDICT_VIEWPORT,))
    seen = state(service, slide_id)
    assert [shard[:2] for shard in seen["shards"]] == [(0, 1)]
    states = {(patch[1] >= 8, patch[2]) for patch in seen["patches"]}
    assert states == {(True, "proposed"), (False, "unreviewed")}
    item = service.client.get("/queue/next", params={"slide_id": slide_id}).json()
    assert item["patch"]["column"] >= 8
    assert item["reason"]["text"], "a reason before there is a rank"
    service.client.post(f"/patches/{item['patch']['id']}/skip").raise_for_status()
    with service.database.writing() as session:
        session.execute(
            update(Patch).where(Patch.id == item["patch"]["id"]).values(state="proposed")
        )
    service.run_jobs(PREDICT)
    assert state(service, slide_id) == undisturbed(service, slide_id)


def test_a_viewport_and_the_slide_at_once_write_once(service: Service) -> None:
    slide_id = ready_slide(service, **SIZE)
    both = [ask(service, slide_id), ask(service, slide_id, box=RIGHT)]
    threads = [threading.Thread(target=run_job, args=(each, service.settings)) for each in both]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with service.database.reading() as session:
        ends = [jobs.get(session, job_id).state for job_id in both]
        assert ends == [JobState.SUCCEEDED] * 2
        assert session.scalar(select(func.count()).select_from(Prediction)) == 1
        assert session.scalar(select(func.count()).select_from(PatchPrediction)) == 20
    assert state(service, slide_id) == undisturbed(service, slide_id)


def test_who_lost_the_lease_writes_no_row(service: Service) -> None:
    slide_id = ready_slide(service)
    job_id = ask(service, slide_id)
    context = claimed(service, job_id)
    work = predict.prepare(context)
    assert len(work.wanted) == 1
    with service.database.writing() as session:
        session.execute(update(Job).where(Job.id == job_id).values(owner="somebody else"))
    with pytest.raises(LeaseLost):
        predict.run(context)
    with service.database.reading() as session:
        assert session.scalars(select(PredictionShard)).all() == []
        assert session.scalars(select(PatchPrediction)).all() == []
        assert {str(state) for state in session.scalars(select(Patch.state))} == {"unreviewed"}


def damaged(path: Path, tile: int) -> bytes:
    """Return a slide file whose level-0 tile can't be decoded."""
    with tifffile.TiffFile(path) as slide:
        offset, length = (
            slide.pages[0].dataoffsets[tile],
            slide.pages[0].databytecounts[tile],
        )
    content = bytearray(path.read_bytes())
    content[offset : offset + length] = b"\0" * length
    return bytes(content)


def test_a_damaged_part_marks_only_its_patches(service: Service) -> None:
    slide_id = ready_slide(service, **SIZE)
    content = damaged(phantom(SIZE["width"], SIZE["height"], 3), 2)
    with service.database.writing() as session:
        session.execute(
            update(Slide).where(Slide.id == slide_id).values(sha256=service.blobs.put(content))
        )
    ask(service, slide_id)
    service.run_jobs(PREDICT)
    done = state(service, slide_id)
    assert done["finished"]
    marked = [patch for patch in done["patches"] if patch[3]]
    assert marked
    assert len(marked) < len(done["patches"])
    assert {patch[3]["code"] for patch in marked} == {"region_unreadable"}
    assert {patch[2] for patch in marked} == {"unreviewed"}
    ranks = sorted(patch[7] for patch in done["patches"] if not patch[3])
    assert ranks == list(range(1, len(ranks) + 1))


def test_a_slide_deleted_meanwhile_fails_its_job_with_a_word(service: Service) -> None:
    slide_id = ready_slide(service)
    job_id = ask(service, slide_id)
    with service.database.writing() as session:
        session.delete(session.get_one(Slide, slide_id))
    service.run_jobs(PREDICT)
    with service.database.reading() as session:
        job = jobs.get(session, job_id)
    assert job.state == JobState.FAILED
    assert job.problem is not None
    assert job.problem["code"] == "slide_not_found"


def test_what_fails_behind_the_networks_is_raised_at_the_next_call() -> None:
    def fail(*_: object) -> None:
        raise OSError("the disk")

    seen = PredictedShard(ShardPlan(0, 0, ()), [], [], None, {})
    with Behind() as behind:
        behind.write(fail, seen)
        with pytest.raises(OSError, match="the disk"):
            behind.write(lambda _: None, seen)
    with Behind() as behind:
        behind.report(fail, 0.5, "half")
        # one thread: when this is written, the report was made
        behind.write(lambda _: None, seen)
        behind.wait()
        with pytest.raises(OSError, match="the disk"):
            behind.report(lambda *_: None, 0.6, "more")
