"""The URL of a database, and the schema in it that is ours."""

import re
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit

from batchyard.domain.errors import DataRefused

SCHEMA = "batchyard"


def taken_apart(url: str) -> tuple[str, str]:
    """Return the URL without the schema's name (``?schema=name``), and the name."""
    parts = urlsplit(url)
    query = parse_qsl(parts.query, keep_blank_values=True)
    schema = dict(query).get("schema", SCHEMA)
    if not re.fullmatch(r"[a-z_][a-z0-9_]{0,62}", schema):
        raise DataRefused(f"the database's schema {schema[:80]!r} must be lower-case letters, digits and underscores")
    rest = urlencode([(name, value) for name, value in query if name != "schema"])
    return urlunsplit(parts._replace(query=rest)), schema
