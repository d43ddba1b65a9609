"""Go through a webhook's outbox: what is due is sent, oldest first, each once in this run."""

import time

from backend.exchange.webhooks import secret_box, sending, service
from backend.exchange.webhooks.sending import Outcome
from backend.kit.db.base import now
from worker.context import JobContext

SECONDS = 60.0
"""Of one run: the process has other work, and the reaper orders another run."""


def run(context: JobContext) -> None:
    """Send until nothing is due, time is up, or the receiver is ill; what is refused stops none."""
    webhook_id, end = context.subject, time.monotonic() + SECONDS
    while time.monotonic() < end:
        context.check()
        with context.reading() as session:
            delivery = service.next_due(session, webhook_id)
            if delivery is None:
                return
            webhook = service.get(session, webhook_id)
        outcome = tried(context, webhook.url, webhook.sealed_secret, delivery.id, delivery.payload)
        with context.writing() as session:
            service.note(session, delivery.id, outcome)
        if outcome.is_ill:
            return


def tried(
    context: JobContext, url: str, sealed: str, delivery_id: str, payload: dict[str, object]
) -> Outcome:
    try:
        secret = secret_box.unseal(sealed, context.settings.signing_key_file)
    except secret_box.SecretsUnreadable as error:
        return Outcome(None, error.detail)
    body = sending.body_of(payload)
    headers = sending.headers_of(secret, delivery_id, int(now().timestamp()), body)
    return sending.send(url, headers, body, context.settings)
