"""A webhook's secret, locked: a copy of the database or of a backup can sign nothing.

The key is a file beside the installation's signing key, outside the data folder. A secret can't be
kept as a hash, as passwords are: every delivery is signed with it.
"""

import base64
import secrets
from pathlib import Path
from typing import TYPE_CHECKING

from backend.kit.errors import Unavailable
from backend.kit.storage.whole_files import private_file

if TYPE_CHECKING:
    from cryptography.fernet import Fernet

NAME = "webhooks.key"
PREFIX = "whsec_"
SECRET_BYTES = 32


class SecretsUnreadable(Unavailable):
    code, title = "webhook_key_missing", "The key that locks the webhooks' secrets is not there"


def new_secret() -> str:
    """Return a secret as Standard Webhooks writes it: whsec_ and 32 bytes in base64."""
    return PREFIX + base64.b64encode(secrets.token_bytes(SECRET_BYTES)).decode()


def seal(secret: str, signing_key_file: Path) -> str:
    """Return a secret locked; the first time the key is made."""
    return box(signing_key_file.with_name(NAME), make=True).encrypt(secret.encode()).decode()


def unseal(sealed: str, signing_key_file: Path) -> str:
    """Return a secret; raise SecretsUnreadable where the key is another one, or none."""
    from cryptography.fernet import InvalidToken

    path = signing_key_file.with_name(NAME)
    try:
        return box(path, make=False).decrypt(sealed.encode()).decode()
    except InvalidToken:
        raise SecretsUnreadable(
            f"{path} is not the key that this webhook's secret was locked with. Bring that one "
            "back, or delete the webhook and add it again."
        ) from None


def box(path: Path, *, make: bool) -> "Fernet":
    from cryptography.fernet import Fernet

    try:
        if make and not path.exists():
            private_file(path, Fernet.generate_key())
        return Fernet(path.read_bytes())
    except (OSError, ValueError) as error:
        reason = error.strerror if isinstance(error, OSError) else "it holds no key"
        raise SecretsUnreadable(
            f"The key that locks the webhooks' secrets can't be read from {path}: {reason}."
        ) from None
