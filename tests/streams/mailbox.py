"""A real mail server on the loopback address (aiosmtpd): it may want TLS, refuse, die and come back."""

import email
import ssl
import time
from email.message import Message
from typing import Any

import trustme
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, AuthResult, Envelope, LoginPassword, Session

from tests.system.broker import free_ports

USER, PASSWORD = "lenswatch", "c0rrect-horse"


class Mailbox:
    """Listens on a port that stays the same over `stop` and `start`. `refusal` is what it answers to a message."""

    def __init__(self, authority: trustme.CA | None = None) -> None:
        self.got: list[Message] = []
        self.refusal: str | None = None
        self.is_private = authority is not None
        (self.port,) = free_ports(1)
        self._context: ssl.SSLContext | None = None
        if authority is not None:
            self._context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
            authority.issue_cert("localhost").configure_cert(self._context)
        self._controller: Controller | None = None

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:  # noqa: N802
        """A message has come."""
        if self.refusal is not None:
            return self.refusal
        assert isinstance(envelope.content, bytes)
        self.got.append(email.message_from_bytes(envelope.content))
        return "250 OK"

    def start(self) -> "Mailbox":
        """Listen."""
        more: dict[str, Any] = {}
        if self._context is not None:
            more = {
                "tls_context": self._context, "require_starttls": True, "auth_required": True,
                "authenticator": self._allows,
            }  # fmt: skip
        self._controller = Controller(self, hostname="127.0.0.1", port=self.port, **more)
        self._controller.start()
        return self

    @staticmethod
    def _allows(server: SMTP, session: Session, envelope: Envelope, mechanism: str, data: Any) -> AuthResult:
        is_right = isinstance(data, LoginPassword) and (data.login, data.password) == (
            USER.encode(),
            PASSWORD.encode(),
        )
        return AuthResult(success=is_right, handled=False) if not is_right else AuthResult(success=True)

    def stop(self) -> None:
        """Listen no more."""
        if self._controller is not None:
            # What was broken off in its handshake is closed a moment later.
            time.sleep(0.1 if self.is_private else 0.0)
            self._controller.stop()
        self._controller = None

    def texts(self) -> list[str]:
        """What was said in each message."""
        found = []
        for message in self.got:
            part = message.get_payload(0) if message.is_multipart() else message
            assert isinstance(part, Message)
            content = part.get_payload(decode=True)
            assert isinstance(content, bytes)
            found.append(content.decode())
        return found

    def __enter__(self) -> "Mailbox":
        return self.start()

    def __exit__(self, *_: object) -> None:
        self.stop()
