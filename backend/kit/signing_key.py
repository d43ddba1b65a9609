"""The installation's own key: what it has signed, nobody else can have.

An Ed25519 private key (RFC 8032) in a file outside the data folder. Beside it lies the list of the
public keys that are trusted here: the present one, and those that it followed.
"""

import base64
import hashlib
import os
from collections.abc import Mapping
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from backend.kit.canonical import canonical
from backend.kit.errors import Unavailable
from backend.kit.storage.whole_files import private_file, to_disk

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

NAME_LENGTH = 16


class SigningKeyMissing(Unavailable):
    code, title = "signing_key_missing", "The key that signs is not there"


def name_of(public: bytes) -> str:
    """Return what a public key is called: the beginning of its sha256."""
    return hashlib.sha256(public).hexdigest()[:NAME_LENGTH]


@dataclass(frozen=True)
class SigningKey:
    """A private key that can sign. `name` says which one it was."""

    private: "Ed25519PrivateKey"

    @property
    def public(self) -> bytes:
        return self.private.public_key().public_bytes_raw()

    @property
    def name(self) -> str:
        return name_of(self.public)

    def sign(self, statement: Mapping[str, Any]) -> str:
        """Return the signature of a statement's canonical JSON, in base64."""
        return base64.b64encode(self.private.sign(canonical(statement))).decode()


def trusted_list(path: Path) -> Path:
    return path.with_name(f"{path.name}.pub")


def load(path: Path) -> SigningKey:
    """Return the key of a file. Raise SigningKeyMissing if there is none that can be read."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    try:
        private = load_pem_private_key(path.read_bytes(), password=None)
    except OSError as error:
        raise SigningKeyMissing(
            f"The key that signs the audit trail and reports can't be read from {path}: "
            f"{error.strerror}. MEMBRANA_SIGNING_KEY says where it is."
        ) from None
    except (ValueError, TypeError, UnsupportedAlgorithm):
        private = None
    if not isinstance(private, Ed25519PrivateKey):
        raise SigningKeyMissing(f"{path} holds no Ed25519 private key in PEM.")
    return SigningKey(private)


def present(path: Path) -> SigningKey:
    """Return the key of a file as `load` does, read once for as long as the file is the same."""
    try:
        status = path.stat()
    except OSError:
        return load(path)
    return loaded(path, status.st_ino, status.st_mtime_ns)


@lru_cache
def loaded(path: Path, inode: int, mtime_ns: int) -> SigningKey:
    return load(path)


def create(path: Path) -> SigningKey:
    """Make a key that only this account can read; of two who make it at once both use the one."""
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    private = Ed25519PrivateKey.generate()
    pem = private.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    try:
        made = private_file(path, pem)
    except OSError as error:
        raise SigningKeyMissing(
            f"No key to sign with could be made at {path}: {error.strerror}. Let "
            "MEMBRANA_SIGNING_KEY name a file in a folder that this account may write."
        ) from None
    return SigningKey(private) if made else load(path)


def begin(path: Path) -> bool:
    """Put the key on the list before its first signature; say whether it was not there yet."""
    public = present(path).public
    listed = trusted_list(path)
    if listed.is_file() and base64.b64encode(public) in listed.read_bytes().split():
        return False
    trust(path, public)
    return True


def trust(path: Path, public: bytes) -> None:
    """Add a public key to the list beside the private one."""
    descriptor = os.open(trusted_list(path), os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)
    with open(descriptor, "ab") as file:  # noqa: PTH123 - by descriptor
        file.write(base64.b64encode(public) + b"\n")
        to_disk(file)


def trusted(path: Path) -> dict[str, bytes]:
    """Return the public keys that are trusted here, by their names; the present one included."""
    keys: list[bytes] = []
    if trusted_list(path).is_file():
        keys = [base64.b64decode(line) for line in trusted_list(path).read_bytes().split()]
    if path.is_file():
        keys.append(load(path).public)
    return {name_of(each): each for each in keys}


def is_signed(public: bytes, statement: Mapping[str, Any], signature: str) -> bool:
    """Say whether a signature is this key's of this statement."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

    try:
        decoded = base64.b64decode(signature, validate=True)
        Ed25519PublicKey.from_public_bytes(public).verify(decoded, canonical(statement))
    except (InvalidSignature, ValueError):
        return False
    return True
