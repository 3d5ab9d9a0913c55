"""How rows and bare params become requests: a prompt template, a model, attachments, custom_ids."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import msgspec

from batchyard.client.attachments import attached
from batchyard.client.lines import members_of
from batchyard.client.openai_lines import params_of
from batchyard.client.template import Template, as_text

_any = msgspec.json.Decoder()


@dataclass(frozen=True, slots=True)
class Making:
    """What is added to an input that has no whole requests. Attachments are looked for in ``folder``."""

    template: Template | None = None
    system: Template | None = None
    model: str | None = None
    max_tokens: int | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    attach: Sequence[str] = ()
    id_column: str | None = None
    folder: Path = Path()
    taken: frozenset[str] = frozenset()
    """Names of columns that the output adds: a row must not have them."""

    def check_columns(self, columns: Collection[str]) -> None:
        """Raise ``ValueError`` unless the table has every column that is named, and none that the output adds."""
        self._check_free(columns)
        for template in (self.template, self.system):
            if template is not None:
                template.check(columns)
        for option, column in [("--attach", one) for one in self.attach] + [("--id", self.id_column)]:
            if column is not None and column not in columns:
                raise ValueError(f"{option}: there is no column {column!r}; the columns are: {', '.join(columns)}")

    def of_row(self, row: Mapping[str, Any], place: int) -> bytes:
        """Return the request line of a row, the ``place``-th."""
        assert self.template is not None, "making a request of a row without a template"
        self._check_free(row)
        content: list[dict[str, Any]] = []
        for column in self.attach:
            content += [attached(self.folder / name) for name in _paths(row, column)]
        prompt = self.template.fill(row)
        if not prompt.strip() and not content:
            raise ValueError("the prompt is empty")
        params: dict[str, Any] = {"model": self.model, "max_tokens": self.max_tokens}
        if self.system is not None:
            params["system"] = self.system.fill(row)
        if content and prompt.strip():
            content.append({"type": "text", "text": prompt})
        params |= self.params
        params["messages"] = [{"role": "user", "content": content or prompt}]
        return _line(self._id_of(row, place), params)

    def _check_free(self, columns: Collection[str]) -> None:
        both = sorted(self.taken.intersection(columns))
        if both:
            raise ValueError(
                f"column {both[0]!r} has the name of one that the output adds: rename it, or give --output-format lines"
            )

    def of_params(self, line: bytes, number: int) -> bytes:
        """Return the request line of bare params; what they lack is added, the rest stays as it is."""
        members = members_of(line)
        given: dict[str, Any] = {"model": self.model, "max_tokens": self.max_tokens, **self.params}
        missing = {name: value for name, value in given.items() if name not in members and value is not None}
        if not missing:
            return b'{"custom_id":"line-%d","params":%b}\n' % (number, line.strip())
        return _line(f"line-{number}", {**members, **missing})

    def of_other_format(self, line: bytes) -> bytes:
        """Return the request line of a line of the other batch format."""
        members = members_of(line)
        missing = [name for name in ("custom_id", "url", "body") if name not in members]
        if missing:
            raise ValueError(f"{missing[0]} is missing")
        body, url = _any.decode(members["body"]), _any.decode(members["url"])
        if not isinstance(body, dict) or not isinstance(url, str):
            raise ValueError("body must be an object, and url a string")  # noqa: TRY004 - a wrong line like any other
        params = params_of(url, body) | {name: value for name, value in self.params.items() if name not in body}
        if self.model is not None:
            params["model"] = self.model
        if self.max_tokens is not None:
            params.setdefault("max_tokens", self.max_tokens)
        if "max_tokens" not in params:
            raise ValueError("max_tokens is missing, which the Messages API wants: give --max-tokens")
        return msgspec.json.encode({"custom_id": members["custom_id"], "params": params}) + b"\n"

    def _id_of(self, row: Mapping[str, Any], place: int) -> str:
        if self.id_column is None:
            return f"row-{place}"
        if self.id_column not in row:
            raise ValueError(f"there is no column {self.id_column!r} for the custom_id")
        return as_text(row[self.id_column])


def of_failure(line: bytes) -> bytes:
    """Return the request line of one that did not succeed, as it was written with its result."""
    members = members_of(line)
    return b'{"custom_id":%b,"params":%b}\n' % (_raw(members, "custom_id"), _raw(members, "params"))


def _raw(members: Mapping[str, msgspec.Raw], name: str) -> bytes:
    if name not in members:
        raise ValueError(f"{name} is missing")
    return bytes(members[name])


def _paths(row: Mapping[str, Any], column: str) -> Sequence[str]:
    if column not in row:
        raise ValueError(f"there is no column {column!r} for the attachment")
    value = row[column]
    many = value if isinstance(value, list) else [value]
    return [as_text(one) for one in many if as_text(one).strip()]


def _line(custom_id: str, params: Mapping[str, Any]) -> bytes:
    return msgspec.json.encode({"custom_id": custom_id, "params": params}) + b"\n"
