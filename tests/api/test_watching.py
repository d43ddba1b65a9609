"""The alerts and the dashboard ask for figures that the service gives, under their names."""

import json
import re
from pathlib import Path

import pytest
import yaml

from backend.job_kinds import Queue
from backend.jobs.tables import JobState, WorkerHeartbeat
from backend.kit.db.base import now
from tests.api.test_service import queue
from tests.conftest import Service

DEPLOY = Path(__file__).parents[2] / "deploy"
NAME = re.compile(r"\b(?:membrana|process)_[a-z_]+")
MATCHER = re.compile(r'(\w+)\s*(?:=~|!=|=)\s*"([^"]*)"')


def expressions() -> list[str]:
    rules = yaml.safe_load((DEPLOY / "prometheus" / "alerts.yml").read_text())
    board = json.loads((DEPLOY / "grafana" / "membrana.json").read_text())
    return [rule["expr"] for group in rules["groups"] for rule in group["rules"]] + [
        target["expr"] for panel in board["panels"] for target in panel["targets"]
    ]


@pytest.fixture
def figures(service: Service) -> str:
    """What Prometheus reads of a service with one of everything."""
    queue(service)
    with service.database.writing() as session:
        for each in Queue:
            session.add(WorkerHeartbeat(name=f"{each}@here", queues=str(each), seen_at=now()))
    service.client.post("/tokens", json={"name": "x"}).raise_for_status()
    service.client.get("/metrics")
    return service.client.get("/metrics").text


@pytest.mark.parametrize("settings", ["sqlite"], indirect=True)
def test_every_figure_that_is_watched_is_one_that_is_given(figures: str) -> None:
    described = set(re.findall(r"^# TYPE (\S+)", figures, re.MULTILINE))
    given = set(re.findall(r"^([a-z_]+)", figures, re.MULTILINE)) | described
    labels = set(re.findall(r'(\w+)="', figures)) | {"job"}
    for expression in expressions():
        assert expression.count("(") == expression.count(")"), expression
        asked = set(NAME.findall(expression))
        assert asked or "up{" in expression, expression
        assert asked <= given, expression
        for label, value in MATCHER.findall(expression):
            assert label in labels, (label, expression)
            if label == "state":
                assert set(value.split("|")) <= set(JobState), expression
            if label == "queues":
                assert value in set(Queue), expression
