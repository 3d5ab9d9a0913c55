"""Who looks: a session is a cookie that only this server can read, with the key sealed in it and a token for forms.

Nothing of it is stored. The key is looked up for each call, so one that is revoked opens nothing from then on, and a
server that knows the secret (it is kept beside the keys) reads the sessions of before its restart.
"""

import hmac
import secrets
from base64 import urlsafe_b64encode
from dataclasses import dataclass
from hashlib import sha256
from urllib.parse import urlsplit

import msgspec
from cryptography.fernet import Fernet, InvalidToken

from batchyard.domain.errors import Forbidden
from batchyard.ports import Clock
from batchyard.web.calls import ApiCall

LIFETIME_SECONDS = 7 * 86_400
SECRET_BYTES = 32


class Session(msgspec.Struct, frozen=True):
    """``key`` is empty until somebody signs in."""

    id: str
    key: str = ""


_decode = msgspec.json.Decoder(Session).decode
_encode = msgspec.json.Encoder().encode


@dataclass(frozen=True, slots=True)
class Sessions:
    """Reads and writes the cookie."""

    secret: bytes
    clock: Clock

    @property
    def _seal(self) -> Fernet:
        return Fernet(urlsafe_b64encode(sha256(b"session" + self.secret).digest()))

    def read(self, call: ApiCall) -> Session | None:
        """Return the session of a call; None where there is none, or it is not ours, or too old."""
        try:
            now = int(self.clock.now().timestamp())
            return _decode(self._seal.decrypt_at_time(_held(call).encode(), LIFETIME_SECONDS, now))
        except (InvalidToken, msgspec.MsgspecError):
            return None

    def fresh(self, key: str = "") -> Session:
        """Return a new session: signing in never goes on with an id that somebody else may know."""
        return Session(secrets.token_urlsafe(16), key)

    def cookie(self, call: ApiCall, session: Session | None) -> tuple[str, str]:
        """Return the header that keeps the session, or forgets it."""
        held = ""
        if session is not None:
            held = self._seal.encrypt_at_time(_encode(session), int(self.clock.now().timestamp())).decode()
        parts = [f"{_name(call)}={held}", "Path=/", "HttpOnly", "SameSite=Strict"]
        parts.append(f"Max-Age={LIFETIME_SECONDS if session else 0}")
        if urlsplit(call.base_url).scheme == "https":
            parts.append("Secure")
        return "set-cookie", "; ".join(parts)

    def token(self, session: Session) -> str:
        """Return what every form of this session holds, and a page of somebody else cannot know."""
        return hmac.new(self.secret, b"token" + session.id.encode(), sha256).hexdigest()

    def check_token(self, session: Session, token: str) -> None:
        """Raise ``Forbidden`` unless the token is this session's."""
        if not hmac.compare_digest(token.encode(), self.token(session).encode()):
            raise Forbidden("This form is not of your session any more. Load the page again, and repeat what you did.")


def _name(call: ApiCall) -> str:
    """Return the cookie's name. Browsers give cookies to every port of a host, so two servers need two names."""
    return f"batchyard_{urlsplit(call.base_url).port or 0}"


def _held(call: ApiCall) -> str:
    wanted = _name(call)
    for line in call.headers.getlist("cookie"):
        for part in line.split(";"):
            name, _, value = part.strip().partition("=")
            if name == wanted:
                return value
    return ""
