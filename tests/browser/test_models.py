"""Where proposals come from, on the page: the card of the model that the product brings."""

import pytest
from playwright.sync_api import Page, expect

from models.starter import shipped
from tests.support.drawing import PATIENCE

pytestmark = pytest.mark.slow


def test_the_card_of_the_starter_is_on_the_page(page: Page) -> None:
    """The installation of these tests began with the cold start; the starter stands beside it."""
    expect(page.get_by_test_id("proposals-from")).to_be_visible(timeout=PATIENCE)
    starter = page.locator(f'[data-testid="other-model"][data-name="{shipped().name}"]')
    card = starter.get_by_test_id("model-card")
    expect(card).to_contain_text(shipped().card["summary"])
    card.locator("summary").click()
    for words in (*shipped().card["limits"], *shipped().card["reached"], shipped().sha256):
        expect(card.get_by_text(words)).to_be_visible()
    expect(starter.get_by_test_id("model-activate")).to_be_visible()
