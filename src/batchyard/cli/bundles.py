"""Options that belong together, offered by several commands: a class of them becomes one argument of the command."""

import dataclasses
import functools
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, get_type_hints

import typer

from batchyard.cli.options import DEFAULT_URL, ApiKey, BaseUrl, server

if TYPE_CHECKING:
    from batchyard.client.limits import Limits
    from batchyard.client.making import Making
    from batchyard.client.template import Template


def taking(**bundles: type) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command the options of these classes; each comes to it as one argument, by name."""

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def wrapped(**given: Any) -> int:
            made = {name: kind(**{one: given.pop(one) for one in _names(kind)}) for name, kind in bundles.items()}
            return command(**given, **made)

        hints = get_type_hints(command, include_extras=True)
        own = [
            one.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[one.name])
            for one in inspect.signature(command).parameters.values()
            if one.name not in bundles
        ]
        offered = [parameter for kind in bundles.values() for parameter in _parameters(kind)]
        wrapped.__signature__ = inspect.Signature([*own, *offered], return_annotation=int)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {one.name: one.annotation for one in (*own, *offered)} | {"return": int}
        return wrapped

    return decorate


def _names(kind: type) -> list[str]:
    return [field.name for field in dataclasses.fields(kind)]


def _parameters(kind: type) -> list[inspect.Parameter]:
    hints = get_type_hints(kind, include_extras=True)
    return [
        inspect.Parameter(
            field.name, inspect.Parameter.KEYWORD_ONLY, default=field.default, annotation=hints[field.name]
        )
        for field in dataclasses.fields(kind)
    ]


@dataclass(frozen=True)
class Server:
    """Which server, and with which key."""

    base_url: BaseUrl = DEFAULT_URL
    api_key: ApiKey = None

    @property
    def address(self) -> tuple[str, str]:
        """Base URL and key; ``ConfigError`` says what is wrong with them."""
        return server(self.base_url, self.api_key)


@dataclass(frozen=True)
class Split:
    """How much goes into one batch."""

    batch_requests: Annotated[
        int, typer.Option("--batch-requests", metavar="N", min=1, help="Most requests in a batch.")
    ] = 100_000
    batch_bytes: Annotated[int, typer.Option("--batch-bytes", metavar="N", min=100, help="Most bytes in a batch.")] = (
        268_435_456
    )

    @property
    def limits(self) -> "Limits":
        from batchyard.client.limits import Limits

        return Limits(self.batch_requests, self.batch_bytes)


@dataclass(frozen=True)
class Made:
    """What INPUT is, and how requests are made of rows or bare params."""

    format: Annotated[
        str | None,
        typer.Option(
            metavar="FORMAT",
            help="What INPUT is: requests, body, params, openai, csv, tsv, jsonl or parquet. Its name or its beginning "
            "tell without it.",
            show_default=False,
        ),
    ] = None
    template: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Prompt for each row, with {column} in it; @FILE reads it from a file."),
    ] = None
    system: Annotated[str | None, typer.Option(metavar="TEXT", help="System prompt for each row, likewise.")] = None
    model: Annotated[str | None, typer.Option(metavar="MODEL", help="Model, where INPUT names none.")] = None
    max_tokens: Annotated[
        int | None, typer.Option(metavar="N", min=1, help="Most tokens of an answer, where INPUT has no number.")
    ] = None
    params: Annotated[
        str | None,
        typer.Option(metavar="JSON", help="More params for each row, as a JSON object; @FILE reads it from a file."),
    ] = None
    attach: Annotated[
        list[str] | None,
        typer.Option(metavar="COLUMN", help="Column with paths of images, PDFs or texts to attach; may be repeated."),
    ] = None
    id: Annotated[str | None, typer.Option(metavar="COLUMN", help="Column that holds the custom_id.")] = None

    def making(self, source: str) -> "Making":
        """Return how requests are made; ``WrongUse`` says what is wrong. Attachments lie beside the input."""
        from batchyard.client.errors import WrongUse
        from batchyard.client.forms import FORMS
        from batchyard.client.making import Making

        if self.format is not None and self.format not in FORMS:
            raise WrongUse(f"--format {self.format!r} is none of {', '.join(FORMS)}")
        return Making(
            template=_template("--template", self.template),
            system=_template("--system", self.system),
            model=self.model,
            max_tokens=self.max_tokens,
            params=_params(self.params),
            attach=self.attach or (),
            id_column=self.id,
            folder=Path() if source == "-" else Path(source).parent,
        )


def _template(option: str, text: str | None) -> "Template | None":
    from batchyard.client.errors import WrongUse
    from batchyard.client.template import Template

    if text is None:
        return None
    name = text.removeprefix("@") if text.startswith("@") else option
    try:
        return Template(_read(option, text), name)
    except ValueError as problem:
        raise WrongUse(str(problem)) from None


def _params(text: str | None) -> dict[str, Any]:
    import msgspec

    from batchyard.client.errors import WrongUse

    if text is None:
        return {}
    try:
        return msgspec.json.decode(_read("--params", text), type=dict[str, Any])
    except (msgspec.DecodeError, UnicodeDecodeError) as problem:
        raise WrongUse(f"--params must be a JSON object: {problem}") from None


def _read(option: str, text: str) -> str:
    from batchyard.client.errors import WrongUse

    if not text.startswith("@"):
        return text
    path = Path(text[1:])
    try:
        return path.read_text(encoding="utf-8")
    except (OSError, UnicodeDecodeError) as problem:
        reason = problem.strerror if isinstance(problem, OSError) else "it is not UTF-8"
        raise WrongUse(f"{option}: {path} cannot be read: {reason}") from None
