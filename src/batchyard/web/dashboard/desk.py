"""Where every page is asked for: which path leads where, who may see it, and what is told when it cannot be shown.

    path ──> host ──> session ──> (form: origin, token) ──> scope ──> page

A path or method that is none of ours is left to the API. Whatever a page refuses is a page too.
"""

import secrets
from collections.abc import Awaitable, Callable
from urllib.parse import parse_qsl, quote

from batchyard.domain.errors import BatchyardError, Forbidden, InvalidRequest, StoreUnavailable
from batchyard.domain.events import BugFound, Emit
from batchyard.ports import Keys
from batchyard.web import auth
from batchyard.web.bodies import Bodies
from batchyard.web.calls import Answer, ApiCall, Sendable, refusal, server_error, unavailable
from batchyard.web.dashboard.assets import Assets
from batchyard.web.dashboard.doors import Doors
from batchyard.web.dashboard.pages import HEADERS, HTML, Pages, Visit
from batchyard.web.dashboard.sessions import Sessions
from batchyard.web.hosts import Hosts
from batchyard.web.limits import CallLimits
from batchyard.web.protocol import KNOWN_CALLER, ClientGone, Cut
from batchyard.web.routes import Endpoint, Handler, Routes

LARGEST_FORM = 64 * 1024
_SAFE = ("GET", "HEAD")
Show = Callable[[Visit], Awaitable[Sendable]]


class Dashboard:
    """Answers what browsers ask. ``routes`` are the pages and forms behind the sign-in."""

    def __init__(
        self,
        *,
        keys: Keys,
        hosts: Hosts,
        sessions: Sessions,
        limits: CallLimits,
        emit: Emit,
        pages: Pages,
        assets: Assets,
        routes: Routes,
    ) -> None:
        self._keys, self._hosts, self._sessions = keys, hosts, sessions
        self._limits, self._emit, self._pages, self._assets = limits, emit, pages, assets
        self._doors = Doors(keys, sessions, pages)
        self._bodies = Bodies(LARGEST_FORM)
        self._anybody = secrets.token_urlsafe(16)  # where any key opens the API, this one opens the pages
        self.routes = routes

    def finds(self, call: ApiCall, segments: list[str]) -> Handler | None:
        """Return what answers this call, or None where it is none of ours."""
        method = "GET" if call.method == "HEAD" else call.method
        match method, segments:
            case "GET", ["static", mark, name]:
                return lambda call: self._static(call, mark, name)
            case "GET", ["sign-in"]:
                return lambda call: self._answer(call, self._doors.ask)
            case "POST", ["sign-in"]:
                return lambda call: self._answer(call, self._doors.enter)
            case "POST", ["sign-out"]:
                return lambda call: self._answer(call, self._doors.leave)
        found = (self.routes.methods(segments) or {}).get(method)
        return None if found is None else lambda call: self._answer(call, self._behind(found))

    async def _static(self, call: ApiCall, mark: str, name: str) -> Answer:
        """Return a file that is the same for everybody, and so without a session: caches may keep it."""
        self._hosts.base_url(call)
        return await self._assets.file(call, mark, name)

    async def _answer(self, call: ApiCall, show: Show) -> Sendable:
        """Return the page, or one that says why there is none."""
        try:
            call.base_url = self._hosts.base_url(call)
        except BatchyardError as error:
            return refusal(error, call.request_id)
        visit = None
        try:
            visit = await self._visit(call)
            if call.method not in _SAFE:
                await self._read_form(visit)
            return await show(visit)
        except StoreUnavailable as error:
            return self._refused(call, visit, unavailable(error))
        except BatchyardError as error:
            return self._refused(call, visit, error)
        except (ClientGone, Cut):
            raise
        except Exception as bug:  # noqa: BLE001 told to the log; who looks gets a page like any other
            self._emit(BugFound(f"{call.method} {call.scope['path'][:200]}", bug))
            return self._refused(call, visit, None)

    def _behind(self, endpoint: Endpoint) -> Show:
        async def show(visit: Visit) -> Sendable:
            if visit.principal is None:
                return _sign_in_first(visit)
            self._limits.enter(visit)
            try:
                auth.authorize(visit.principal, endpoint.scope, *endpoint.also)
                return await endpoint.answer(visit)
            finally:
                self._limits.leave(visit)

        return show

    async def _visit(self, call: ApiCall) -> Visit:
        session, principal, is_open = self._sessions.read(call), None, False
        if session is not None and session.key:
            principal = await self._keys.principal(session.key)
        if principal is None:
            principal = await self._keys.principal(self._anybody)
            is_open = principal is not None
        if session is None:
            session = self._sessions.fresh()
            call.always.append(self._sessions.cookie(call, session))
        visit = Visit(call, session, principal, self._sessions.token(session), is_open=is_open)
        if principal is not None:
            visit.workspace, visit.caller = principal.workspace, principal.caller
            call.scope.setdefault("state", {})[KNOWN_CALLER] = True
        return visit

    async def _read_form(self, visit: Visit) -> None:
        """Take a form of ours; refuse one that a page of somebody else sent."""
        origin = visit.headers.getlist("origin")
        if len(origin) != 1 or origin[0] not in self._hosts.origins(visit):
            raise Forbidden("This form was not sent by a page of this server.")
        if visit.headers.get("content-type", "").partition(";")[0].strip() != "application/x-www-form-urlencoded":
            raise InvalidRequest("content-type: a form is application/x-www-form-urlencoded.")
        async with self._bodies.read(visit) as body:
            visit.form = dict(_fields(body))
        self._sessions.check_token(visit.session, visit.form.get("token", ""))

    def _refused(self, call: ApiCall, visit: Visit | None, error: BatchyardError | None) -> Answer:
        told = server_error(call.request_id) if error is None else refusal(error, call.request_id)
        message = "Something went wrong in the server. Its log says more under the id below."
        if error is not None:
            message = error.message
        if visit is None or visit.is_part:
            return Answer(message.encode("utf-8", "replace"), told.status, "text/plain; charset=utf-8", HEADERS)
        page = self._pages.page(visit, "error.html", {"message": message}, status=told.status)
        return Answer(page.body, told.status, HTML, (*page.headers, *told.headers))


def _sign_in_first(visit: Visit) -> Answer:
    target = f"{visit.root}/sign-in"
    if visit.is_part:  # an open page whose key was revoked: htmx leads it there
        return Answer(b"", 401, HTML, (*HEADERS, ("hx-redirect", target)))
    query = visit.scope["query_string"].decode("latin-1")
    wanted = quote(visit.path + (f"?{query}" if query else ""), safe="")
    return Answer(b"", 303, HTML, (*HEADERS, ("location", f"{target}?next={wanted}" if visit.path != "/" else target)))


def _fields(body: bytes) -> list[tuple[str, str]]:
    try:
        return parse_qsl(body.decode("latin-1"), keep_blank_values=True, max_num_fields=100)
    except ValueError:
        raise InvalidRequest("This form has more fields than any of ours.") from None
