"""What a Batchyard tells of a batch beside the wire: what it is called, what it cost, when it is done. For people."""

from decimal import Decimal
from typing import TYPE_CHECKING, Any
from urllib.parse import quote

if TYPE_CHECKING:
    from batchyard.client.api import Api

RISKS = {
    "tight": "tight: it will be done shortly before it expires",
    "late": "late: it will not be done before it expires",
}


async def told(api: "Api", batch_id: str) -> dict[str, Any] | None:
    """Return what the server tells beside the wire; None where it is not a Batchyard."""
    import msgspec

    from batchyard.client.errors import BadReply, RefusedByServer

    try:
        answer = msgspec.json.decode(await api.beside("GET", f"/batches/{quote(batch_id, safe='')}"))
    except (RefusedByServer, BadReply, msgspec.DecodeError):
        return None
    return answer if isinstance(answer, dict) and {"name", "labels", "usage", "forecast"} <= answer.keys() else None


def facts(said: dict[str, Any] | None) -> dict[str, str | None]:
    """Return it as rows for people, those that say nothing as None."""
    if said is None:
        return {}
    usage, forecast = said["usage"], said["forecast"]
    return {
        "name": said["name"],
        "labels": " ".join(f"{key}={value}" for key, value in said["labels"].items()),
        "cost": _cost(usage),
        "done": _done(forecast),
        "deadline": RISKS.get(forecast["deadline_risk"]),
        "waits for": "; ".join(forecast["waits_for"]),
    }


def _cost(usage: dict[str, Any]) -> str | None:
    from batchyard.client.prices import in_dollars

    if not usage["requests"]:
        return None
    unpriced = usage["unpriced_requests"]
    if unpriced == usage["requests"]:
        return "unknown: no price of its model is known"
    tail = f"; {unpriced:,} answers without a known price" if unpriced else ""
    batch, standard = (in_dollars(Decimal(str(usage[name]))) for name in ("batch_cost", "standard_cost"))
    return f"{batch} at the batch price, {standard} at the standard one{tail}"


def _done(forecast: dict[str, Any]) -> str | None:
    if not forecast["remaining"] or forecast["done_at"] is None:
        return None
    ahead = f", {forecast['requests_ahead']:,} of others before its last" if forecast["requests_ahead"] else ""
    moment = forecast["done_at"][:16].replace("T", " ")
    return f"about {moment} UTC, at {forecast['requests_per_second']:,.3g} requests a second{ahead}"
