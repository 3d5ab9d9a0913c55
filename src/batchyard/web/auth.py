"""Who calls: the key, from either header, and the API version. Judged before a body is read or a batch looked up."""

from starlette.datastructures import Headers

from batchyard.domain.access import Scope
from batchyard.domain.errors import Forbidden, InvalidRequest, Unauthenticated
from batchyard.ports import Keys, Principal

VERSIONS = ("2023-06-01", "2026-10-21")
MOST_KEYS = 4
LONGEST_BETAS = 4096
"""Characters of all betas of a call, with a comma each; model servers take heads of 8 KB and more."""


async def authenticate(keys: Keys, headers: Headers) -> Principal:
    """Return who calls. Every key that was sent must be good, and all of one workspace."""
    sent = _keys(headers)
    if not sent:
        raise Unauthenticated("x-api-key header is required")
    if len(sent) > MOST_KEYS:
        raise Unauthenticated("API key is invalid.")
    found = [await keys.principal(key) for key in sent]
    known = [principal for principal in found if principal is not None]
    if len(known) < len(found) or len({principal.workspace for principal in known}) > 1:
        raise Unauthenticated("API key is invalid.")
    named = headers.get("anthropic-workspace-id", "").strip()
    if named and named != known[0].workspace:
        raise Forbidden("anthropic-workspace-id: the API key does not belong to this workspace.")
    return known[0]


def authorize(principal: Principal, scope: Scope, *also: Scope) -> None:
    """Refuse a key with none of these scopes. Judged before anything is looked up: it tells of no batch."""
    if principal.scopes.isdisjoint((scope, *also)):
        raise Forbidden(f"This API key has no scope {scope.value!r}, which this call needs.")


def version(headers: Headers) -> str:
    """Return the API version of the call."""
    named = headers.get("anthropic-version", "").strip()
    if not named:
        raise InvalidRequest("anthropic-version: header is required")
    if named not in VERSIONS:
        raise InvalidRequest(f"anthropic-version: {named[:40]!r} is not a valid version, use {' or '.join(VERSIONS)}.")
    return named


def betas(headers: Headers) -> tuple[str, ...]:
    """Return the betas of all header lines, each once, in their order. None is refused: an upstream may know it. But
    they are kept with a batch, beside what is stored of it, and go out with each of its calls: so they are not long."""
    named = [beta.strip() for line in headers.getlist("anthropic-beta") for beta in line.split(",")]
    found = tuple(dict.fromkeys(beta for beta in named if beta))
    if sum(map(len, found)) + len(found) > LONGEST_BETAS:
        raise InvalidRequest(f"anthropic-beta: at most {LONGEST_BETAS} characters are allowed.")
    return found


def _keys(headers: Headers) -> list[str]:
    """Return every different key of both headers; an empty ``x-api-key`` counts as none."""
    keys = [line.strip() for line in headers.getlist("x-api-key")]
    for line in headers.getlist("authorization"):
        scheme, _, key = line.strip().partition(" ")
        if scheme.lower() != "bearer" or not key.strip():
            raise Unauthenticated("authorization: expected `Bearer` and an API key.")
        keys.append(key.strip())
    return list(dict.fromkeys(key for key in keys if key))
