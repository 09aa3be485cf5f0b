"""A token from its issuer's endpoint, by the client credentials grant: RFC 6749, section 4.4."""

import base64
import http.client
import ssl
import urllib.error
import urllib.parse
import urllib.request
from typing import Final

import msgspec

from collector.errors import SettingsError

MAX_ANSWER_BYTES: Final = 64 << 10
MAX_SHOWN: Final = 120


class Granted(msgspec.Struct):
    """What an issuer answers: RFC 6749, section 5.1."""

    access_token: str


class Refused(msgspec.Struct):
    """Or why not: section 5.2."""

    error: str
    error_description: str = ""


class NoDetours(urllib.request.HTTPRedirectHandler):
    """To where an issuer points instead, no secret is sent."""

    def redirect_request(self, *_: object) -> None:
        """Follow nothing."""


def fetch_token(url: str, client: str, secret: str, scope: str | None, trust: ssl.SSLContext, seconds: float) -> str:
    """A new token. `client` and `secret` go as section 2.3.1 has them. Raises SettingsError that names the endpoint and
    shows no secret."""
    name = ":".join(urllib.parse.quote_plus(each) for each in (client, secret))
    headers = {"Authorization": f"Basic {base64.b64encode(name.encode()).decode()}", "Accept": "application/json"}
    form = {"grant_type": "client_credentials"} | ({"scope": scope} if scope else {})
    request = urllib.request.Request(url, urllib.parse.urlencode(form).encode(), headers)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=trust), NoDetours)
    try:
        with opener.open(request, timeout=seconds) as answer:
            return msgspec.json.decode(answer.read(MAX_ANSWER_BYTES), type=Granted).access_token
    except urllib.error.HTTPError as error:
        with error:
            raise SettingsError(
                f"kafka.token_url {url}: {error.code} {said_in(error.read(MAX_ANSWER_BYTES))}"
            ) from None
    except msgspec.DecodeError as error:
        raise SettingsError(f"kafka.token_url {url}: the answer holds no token: {error}") from None
    except (OSError, http.client.HTTPException) as error:
        reason = getattr(error, "reason", None) or error
        raise SettingsError(f"kafka.token_url {url}: {getattr(reason, 'strerror', None) or reason}") from None


def said_in(body: bytes) -> str:
    """An issuer's reason, printable and short; "" where it gives none."""
    try:
        refused = msgspec.json.decode(body, type=Refused)
    except msgspec.DecodeError:
        return ""
    text = f"{refused.error} {refused.error_description}".strip()[:MAX_SHOWN]
    return "".join(each if each.isprintable() else "\N{REPLACEMENT CHARACTER}" for each in text)
