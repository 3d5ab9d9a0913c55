"""Pages: templates filled in, and the headers that let them show things and nothing else.

Whatever is filled in is text: every template escapes, and no template or filter here has a way around it. So model
output, custom_ids and labels cannot become markup; should one ever, the policy below runs no script of it and loads
nothing from anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlencode, urlsplit

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from batchyard import __version__
from batchyard.domain.access import Scope
from batchyard.ports import Principal
from batchyard.web.calls import Answer, ApiCall
from batchyard.web.dashboard import words
from batchyard.web.dashboard.assets import Assets
from batchyard.web.dashboard.sessions import Session

HTML = "text/html; charset=utf-8"
POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self'",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)
HEADERS = (
    ("content-security-policy", POLICY),
    ("cache-control", "no-store"),
    ("referrer-policy", "same-origin"),  # none at all would take the Origin from our own forms, which is checked
    ("x-frame-options", "DENY"),
    ("cross-origin-opener-policy", "same-origin"),
    ("cross-origin-resource-policy", "same-origin"),
    ("permissions-policy", "camera=(), geolocation=(), microphone=()"),
)
THEMES = ("light", "dark")
_FOLDER = Path(__file__).parent / "templates"


@dataclass(frozen=True, slots=True)
class Place:
    """A page that the navigation names."""

    path: str
    name: str
    scope: Scope
    also: tuple[Scope, ...] = ()
    """Other scopes that open it too."""


PLACES = (
    Place("/", "Batches", Scope.READ),
    Place("/throughput", "Throughput", Scope.READ),
    Place("/usage", "Usage", Scope.READ),
    Place("/engine", "Engine", Scope.ADMIN),
    Place("/webhooks", "Webhooks", Scope.READ, (Scope.ADMIN,)),
)


class Visit(ApiCall):
    """A call of a browser: who it is, where links begin (the path of the public URL), and the token of its forms."""

    def __init__(self, call: ApiCall, session: Session, principal: Principal | None, token: str, *, is_open: bool):
        super().__init__(call.scope, call.receive, call._send)
        self.request_id, self.base_url, self.always = call.request_id, call.base_url, call.always
        self.session, self.principal, self.token, self.is_open = session, principal, token, is_open
        self.root = urlsplit(call.base_url).path.rstrip("/")
        self.form: dict[str, str] = {}

    @property
    def path(self) -> str:
        """The path of the page, as links name it."""
        return str(self.scope["path"])

    @property
    def is_part(self) -> bool:
        """Whether a page that is open asks for its own news alone."""
        return self.query("part") is not None

    def may(self, scope: str) -> bool:
        """Whether the key is for this."""
        return self.principal is not None and Scope(scope) in self.principal.scopes

    @property
    def places(self) -> list[Place]:
        """The pages that this key may see."""
        return [place for place in PLACES if any(map(self.may, (place.scope, *place.also)))]

    @property
    def theme(self) -> str:
        """What the visitor chose: light, dark, or nothing."""
        return next((name for name in THEMES if f"batchyard_theme={name}" in self.headers.get("cookie", "")), "")


class Pages:
    """Fills templates in."""

    def __init__(self, assets: Assets) -> None:
        self._environment = Environment(
            loader=FileSystemLoader(_FOLDER),
            autoescape=True,
            undefined=StrictUndefined,
            auto_reload=False,
            trim_blocks=True,
            lstrip_blocks=True,
        )
        self._environment.filters.update(words.FILTERS)
        self._environment.globals.update(asset=assets.url, version=__version__, query=query)

    def page(self, visit: Visit, template: str, values: Mapping[str, object], *, status: int = 200) -> Answer:
        """Return the answer with this page."""
        text = self._environment.get_template(template).render(values, visit=visit)
        return Answer(encoded(text), status, HTML, HEADERS)


def encoded(text: str) -> bytes:
    """Return the bytes; a half of a surrogate pair, which JSON may hold and UTF-8 may not, becomes a question mark."""
    return text.encode("utf-8", "replace")


def seen_other(visit: Visit, path: str, headers: tuple[tuple[str, str], ...] = ()) -> Answer:
    """Return the answer to a form that did its work: go and look there."""
    return Answer(b"", 303, HTML, (*HEADERS, ("location", f"{visit.root}{path}"), *headers))


def query(**values: object) -> str:
    """Return a query of those values that there are."""
    return urlencode([(name, value) for name, value in values.items() if value not in (None, "")])
