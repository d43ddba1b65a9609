"""Webhooks: an event's deliveries are written with it, and tried until they are taken."""

import logging
from collections.abc import Sequence
from datetime import datetime, timedelta
from functools import partial
from typing import Any

from sqlalchemy import Select, delete, func, select, update
from sqlalchemy.exc import SQLAlchemyError
from sqlalchemy.orm import Session

from backend.exchange.webhooks import kinds
from backend.exchange.webhooks.sending import Outcome
from backend.exchange.webhooks.tables import DeliveryState, Webhook, WebhookDelivery
from backend.job_kinds import JobKind
from backend.jobs import service as jobs
from backend.kit.db import outbox
from backend.kit.db.base import now
from backend.kit.db.session import get_database
from backend.kit.errors import Conflict, NotFound
from backend.kit.events.facts import Announced
from backend.kit.facts import on
from backend.people.audit import service as audit
from backend.people.users.tables import User
from backend.settings import Settings, get_settings

log = logging.getLogger("membrana.webhooks")
MOST = 20
WAITS = tuple(
    timedelta(seconds=seconds)
    for seconds in (10, 60, 5 * 60, 30 * 60, 2 * 3600, 6 * 3600, 12 * 3600, 24 * 3600)
)
"""After each try that failed, until the next: nine tries in two days; then it has failed."""
LONGEST = timedelta(days=4)
"""Until what waits behind others that are not taken has failed as well."""
KEPT = timedelta(days=30)
TOLD = "webhooks_told"


class WebhookNotFound(NotFound):
    code = "webhook_not_found"


class DeliveryNotFound(NotFound):
    code = "delivery_not_found"


class TooManyWebhooks(Conflict):
    code = "too_many_webhooks"


def add(
    session: Session, *, by: User, url: str, host: str, events: Sequence[str], **rest: str
) -> Webhook:
    """Add a webhook; rest: its description and its sealed secret."""
    if (session.scalar(select(func.count()).select_from(Webhook)) or 0) >= MOST:
        raise TooManyWebhooks(f"There are {MOST} webhooks already; delete one first.")
    webhook = Webhook(url=url, events=sorted(set(events)), made_by=by.id, **rest)
    session.add(webhook)
    session.flush()
    # a path or a query may hold what nobody else must know
    audit.record(
        session, by, "webhook.added", "webhook", webhook.id, host=host, events=webhook.events
    )
    return webhook


def get(session: Session, webhook_id: str) -> Webhook:
    webhook = session.get(Webhook, webhook_id)
    if webhook is None:
        raise WebhookNotFound("There is no webhook with this id.")
    return webhook


def remove(session: Session, webhook_id: str, *, by: User) -> None:
    """Delete a webhook; what was not delivered yet goes with it."""
    session.delete(get(session, webhook_id))
    audit.record(session, by, "webhook.removed", "webhook", webhook_id)


def listing() -> Select[Webhook]:
    return select(Webhook)


def deliveries(session: Session, webhook_id: str) -> Select[WebhookDelivery]:
    get(session, webhook_id)
    return select(WebhookDelivery).where(WebhookDelivery.webhook_id == webhook_id)


@on(Announced)
def follow(session: Session, settings: Settings, fact: Announced) -> None:
    """Write a delivery for each webhook that is told of this, in the transaction that says it."""
    told = [
        (event, subject_id, data)
        for subject_id, data in fact.subjects
        if (event := kinds.kind_of(fact.topic, data)) is not None
    ]
    if not told:
        return
    for webhook in session.scalars(listing()).all():
        for event, subject_id, data in told:
            if not webhook.events or event in webhook.events:
                write(session, webhook.id, event, kinds.facts_of(subject_id, data))


def write(session: Session, webhook_id: str, event: str, facts: dict[str, Any]) -> WebhookDelivery:
    payload = {"type": event, "timestamp": now().isoformat(), "data": facts}
    delivery = WebhookDelivery(webhook_id=webhook_id, event=event, payload=payload)
    session.add(delivery)
    order(session, webhook_id)
    return delivery


def order(session: Session, webhook_id: str) -> None:
    """Have a worker go through a webhook's outbox once this is committed, once for all of it.

    In a transaction of its own: what a person saves waits for no other's order, and does not fail
    with it. The reaper orders what is lost here.
    """
    told: set[str] = session.info.setdefault(TOLD, set())
    if not told:
        outbox.after_commit(session, partial(order_now, told))
    told.add(webhook_id)


def order_now(told: set[str]) -> None:
    settings = get_settings()
    webhook_ids = sorted(told)
    told.clear()
    try:
        with get_database(settings.sqlalchemy_url).writing() as session:
            jobs.enqueue_all(session, settings, JobKind.DELIVER, webhook_ids)
    except SQLAlchemyError:
        log.warning("deliveries of %d webhooks not ordered now", len(webhook_ids), exc_info=True)


def due(session: Session) -> Sequence[str]:
    """Return the webhooks with something due: a try came to nothing, or nobody heard the bell."""
    return session.scalars(select(WebhookDelivery.webhook_id).where(*is_due()).distinct()).all()


def is_due() -> tuple[Any, ...]:
    return WebhookDelivery.state == DeliveryState.PENDING, WebhookDelivery.next_at <= now()


def next_due(session: Session, webhook_id: str) -> WebhookDelivery | None:
    """Return the oldest delivery of a webhook that is due."""
    return session.scalar(
        select(WebhookDelivery)
        .where(WebhookDelivery.webhook_id == webhook_id, *is_due())
        .order_by(WebhookDelivery.id)
        .limit(1)
    )


def note(session: Session, delivery_id: str, outcome: Outcome) -> None:
    """Write down what came of a try. A delivery whose webhook was deleted meanwhile is no more."""
    delivery = session.get(WebhookDelivery, delivery_id)
    if delivery is None or delivery.state != DeliveryState.PENDING:
        return
    delivery.attempts += 1
    delivery.status, delivery.problem = outcome.status, outcome.problem
    if outcome.problem is None:
        delivery.state, delivery.delivered_at = DeliveryState.DELIVERED, now()
    elif outcome.final or delivery.attempts > len(WAITS):
        delivery.state = DeliveryState.FAILED
    else:
        delivery.next_at = now() + WAITS[delivery.attempts - 1]
        if outcome.status is None:
            # nobody is there: the others need not find that out one by one
            others = WebhookDelivery.webhook_id == delivery.webhook_id, *is_due()
            session.execute(update(WebhookDelivery).where(*others).values(next_at=delivery.next_at))


def ping(session: Session, webhook_id: str, *, by: User) -> WebhookDelivery:
    """Send a webhook something to try it."""
    webhook = get(session, webhook_id)
    delivery = write(session, webhook.id, kinds.PING, {"id": webhook.id})
    session.flush()
    audit.record(session, by, "webhook.pinged", "webhook", webhook_id)
    return delivery


def retry(session: Session, webhook_id: str, delivery_id: str, *, by: User) -> WebhookDelivery:
    """Have a delivery that was not taken tried now, and from the beginning."""
    delivery = session.get(WebhookDelivery, delivery_id)
    if delivery is None or delivery.webhook_id != webhook_id:
        raise DeliveryNotFound("This webhook has no delivery with this id.")
    if delivery.state == DeliveryState.DELIVERED:
        raise Conflict("This was delivered already.", code="already_delivered")
    delivery.state, delivery.attempts, delivery.next_at = DeliveryState.PENDING, 0, now()
    order(session, webhook_id)
    audit.record(session, by, "webhook.retried", "webhook", webhook_id, delivery_id=delivery_id)
    return delivery


def forget_ended(session: Session, before: datetime) -> None:
    """Forget what was delivered, or failed, long ago; what nobody takes for days has failed."""
    session.execute(
        update(WebhookDelivery)
        .where(
            WebhookDelivery.state == DeliveryState.PENDING,
            WebhookDelivery.created_at < now() - LONGEST,
        )
        .values(state=DeliveryState.FAILED)
    )
    session.execute(
        delete(WebhookDelivery).where(
            WebhookDelivery.state != DeliveryState.PENDING, WebhookDelivery.created_at < before
        )
    )
