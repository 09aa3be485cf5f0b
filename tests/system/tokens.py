"""An issuer of OAuth tokens as a broker knows one: a key, its public half as a JSON Web Key Set, and signed JWTs."""

import base64
import json
import time
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric.padding import PKCS1v15
from cryptography.hazmat.primitives.asymmetric.rsa import generate_private_key
from cryptography.hazmat.primitives.hashes import SHA256

AUDIENCE, ISSUER = "kafka", "https://issuer.example"


def encoded(data: bytes) -> str:
    """Base 64 as JOSE has it (RFC 7515): for addresses, and without padding."""
    return base64.urlsafe_b64encode(data).decode().rstrip("=")


class Issuer:
    """Signs with RS256 (RFC 7518)."""

    def __init__(self) -> None:
        self._key = generate_private_key(65537, 2048)

    def write_keys(self, path: Path) -> None:
        """The key set (RFC 7517)."""
        numbers = self._key.public_key().public_numbers()
        n, e = (encoded(each.to_bytes((each.bit_length() + 7) // 8, "big")) for each in (numbers.n, numbers.e))
        path.write_text(
            json.dumps({"keys": [{"kty": "RSA", "kid": "1", "use": "sig", "alg": "RS256", "n": n, "e": e}]})
        )

    def token(self, subject: str, seconds: float = 3600.0, audience: str = AUDIENCE) -> str:
        """A token of this subject that is valid for so long (RFC 7519)."""
        now = int(time.time())
        claims = {
            "sub": subject, "iss": ISSUER, "aud": audience, "iat": now - 60, "exp": int(now + seconds),
            "scope": "lenswatch",
        }  # fmt: skip
        head = {"alg": "RS256", "typ": "JWT", "kid": "1"}
        text = ".".join(encoded(json.dumps(part).encode()) for part in (head, claims))
        return f"{text}.{encoded(self._key.sign(text.encode(), PKCS1v15(), SHA256()))}"
