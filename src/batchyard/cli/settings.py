"""Options that are settings: declared in ``settings``, offered by the commands that need them."""

import functools
import inspect
import os
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import Annotated, Any

import typer

from batchyard import config
from batchyard.declared import Declared
from batchyard.settings import DECLARED


def with_settings(names: Iterable[str]) -> Callable[[Callable[..., int]], Callable[..., int]]:
    """Give a command, whose first parameter is ``settings``, the options of these settings in its place."""
    offered = tuple(names)

    def decorate(command: Callable[..., int]) -> Callable[..., int]:
        @functools.wraps(command)
        def wrapped(**given: Any) -> int:
            spoken = {name: given.pop(name) for name in offered}
            options = {name: _text(value) for name, value in spoken.items() if value is not None}
            return command(config.read(options, os.environ, Path()), **given)

        own = list(inspect.signature(command).parameters.values())[1:]
        parameters = [_parameter(DECLARED[name]) for name in offered]
        keyword_only = [one.replace(kind=inspect.Parameter.KEYWORD_ONLY) for one in (*own, *parameters)]
        wrapped.__signature__ = inspect.Signature(keyword_only, return_annotation=int)  # type: ignore[attr-defined]
        wrapped.__annotations__ = {one.name: one.annotation for one in keyword_only} | {"return": int}
        return wrapped

    return decorate


def _parameter(declared: Declared) -> inspect.Parameter:
    is_switch = declared.kind.toml is bool
    spelling = f"{declared.option}/--no-{declared.option.removeprefix('--')}" if is_switch else declared.option
    option = typer.Option(
        spelling,
        metavar=declared.kind.metavar or None,
        help=f"{declared.sentence} [default: {'off' if declared.default == 'false' else declared.default}]",
        show_default=False,
    )
    annotation: Any = Annotated[bool | None, option] if is_switch else Annotated[str | None, option]
    return inspect.Parameter(declared.name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)


def _text(value: str | bool) -> str:
    return str(value).lower() if isinstance(value, bool) else value
