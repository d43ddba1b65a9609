"""`membrana models card`: a shipped model's card without a service, another's from it."""

import hashlib
import json

from models import starter
from tests.cli.conftest import Membrana


def test_the_cards_of_what_the_package_brings_need_no_service(membrana: Membrana) -> None:
    said = membrana("models", "card", "starter")
    assert said.code == 0, said.err
    card = json.loads(said.out)
    weights = (starter.FOLDER / starter.WEIGHTS).read_bytes()
    assert card["weights_sha256"] == hashlib.sha256(weights).hexdigest()
    assert {"metrics", "training", "summary"} <= set(card)
    assert "licence" in said.out
    assert membrana("models", "card", card["name"]).out == said.out
    nuclei = json.loads(membrana("models", "card", "nuclei").out)
    assert nuclei["sha256"] != card["weights_sha256"]
