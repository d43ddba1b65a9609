"""Webhooks over HTTP: for administrators."""

from fastapi import APIRouter, status

from backend.exchange.webhooks import addresses, secret_box, service
from backend.exchange.webhooks.schemas import DeliveryOut, NewWebhook, WebhookIn, WebhookOut
from backend.exchange.webhooks.tables import Webhook, WebhookDelivery
from backend.kit.dependencies import CurrentDatabase, CurrentSettings, ReadSession, WriteSession
from backend.kit.paging import Page, Paged
from backend.people.users.guards import Admin

router = APIRouter(prefix="/webhooks", tags=["webhooks"])


@router.post("", status_code=status.HTTP_201_CREATED)
def add_webhook(
    new: WebhookIn, database: CurrentDatabase, settings: CurrentSettings, admin: Admin
) -> NewWebhook:
    """Have a URL told what happens here; the secret that signs it is shown this once."""
    parts = addresses.parse(new.url, settings)
    secret = secret_box.new_secret()
    sealed = secret_box.seal(secret, settings.signing_key_file)
    with database.writing() as session:
        webhook = service.add(
            session,
            by=admin,
            url=new.url,
            host=parts.hostname or "",
            events=new.events,
            description=new.description,
            sealed_secret=sealed,
        )
        shown = WebhookOut.model_validate(webhook)
    return NewWebhook(**shown.model_dump(), secret=secret)


@router.get("")
def list_webhooks(session: ReadSession, _: Admin, page: Paged) -> Page[WebhookOut]:
    """List the webhooks, newest first."""
    return page.newest(session, service.listing(), Webhook.id, WebhookOut.model_validate)


@router.get("/{webhook_id}")
def get_webhook(session: ReadSession, _: Admin, webhook_id: str) -> WebhookOut:
    """Show a webhook, without its secret."""
    return WebhookOut.model_validate(service.get(session, webhook_id))


@router.delete("/{webhook_id}", status_code=status.HTTP_204_NO_CONTENT)
def delete_webhook(session: WriteSession, admin: Admin, webhook_id: str) -> None:
    """Tell it of nothing more; what was not delivered yet is forgotten."""
    service.remove(session, webhook_id, by=admin)


@router.post("/{webhook_id}/ping", status_code=status.HTTP_202_ACCEPTED)
def ping_webhook(session: WriteSession, admin: Admin, webhook_id: str) -> DeliveryOut:
    """Send it the event `ping`, to try it."""
    return DeliveryOut.model_validate(service.ping(session, webhook_id, by=admin))


@router.get("/{webhook_id}/deliveries")
def list_deliveries(
    session: ReadSession, _: Admin, webhook_id: str, page: Paged
) -> Page[DeliveryOut]:
    """List what was sent and what waits, newest first; what has ended is kept for 30 days."""
    statement = service.deliveries(session, webhook_id)
    return page.newest(session, statement, WebhookDelivery.id, DeliveryOut.model_validate)


@router.post("/{webhook_id}/deliveries/{delivery_id}/retry", status_code=status.HTTP_202_ACCEPTED)
def retry_delivery(
    session: WriteSession, admin: Admin, webhook_id: str, delivery_id: str
) -> DeliveryOut:
    """Try a delivery that was not taken now, and as often as a new one."""
    delivery = service.retry(session, webhook_id, delivery_id, by=admin)
    return DeliveryOut.model_validate(delivery)
