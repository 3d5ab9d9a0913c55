"""Signing in with a key, and signing out."""

from batchyard.domain.access import Scope
from batchyard.ports import Keys
from batchyard.web.calls import Answer
from batchyard.web.dashboard.pages import Pages, Visit, seen_other
from batchyard.web.dashboard.sessions import Sessions

LONGEST_KEY = 1024
WRONG = "This key opens nothing here: it is unknown, revoked or expired."


class Doors:
    """``/sign-in`` and ``/sign-out``."""

    def __init__(self, keys: Keys, sessions: Sessions, pages: Pages) -> None:
        self._keys, self._sessions, self._pages = keys, sessions, pages

    async def ask(self, visit: Visit) -> Answer:
        """Show the form. A visitor who comes from another site shows no cookie at first: the page asks once more."""
        if visit.principal is not None and not visit.is_open:
            return seen_other(visit, _way(visit.query("next")))
        again = visit.headers.get("sec-fetch-site") == "cross-site"
        return self._form(visit, "", visit.query("next") or "", again=again)

    async def enter(self, visit: Visit) -> Answer:
        """Take the key; a wrong one is told so and nothing else."""
        key, way = visit.form.get("key", "").strip(), visit.form.get("next", "")
        principal = await self._keys.principal(key) if 0 < len(key) <= LONGEST_KEY else None
        if principal is None:
            return self._form(visit, WRONG, way, status=403)
        if _way(way) == "/" and Scope.READ not in principal.scopes and Scope.ADMIN in principal.scopes:
            way = "/engine"  # the operator's key opens no batch
        return seen_other(visit, _way(way), (self._sessions.cookie(visit, self._sessions.fresh(key)),))

    async def leave(self, visit: Visit) -> Answer:
        """Forget the session."""
        return seen_other(visit, "/sign-in", (self._sessions.cookie(visit, None),))

    def _form(self, visit: Visit, wrong: str, way: str, *, status: int = 200, again: bool = False) -> Answer:
        values = {"wrong": wrong, "way": _way(way), "again": again}
        return self._pages.page(visit, "sign_in.html", values, status=status)


def _way(wanted: str | None) -> str:
    """Return where to go then: a path of ours, never another host."""
    if wanted is None or not wanted.startswith("/") or wanted.startswith(("//", "/\\")):
        return "/"
    return wanted if wanted.isascii() and wanted.isprintable() else "/"
