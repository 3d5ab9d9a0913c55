"""What happens to notices for webhooks."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class WebhookTried:
    """A notice was posted, or could not be; ``status`` is the receiver's answer."""

    webhook: str
    kind: str
    notice: str
    tries: int
    status: int | None
    reason: str


@dataclass(frozen=True, slots=True)
class WebhookFailed:
    """A notice is given up: it was tried for more than a day, or its receiver is gone."""

    webhook: str
    kind: str
    notice: str
    tries: int
