"""The program `batchyard`: its commands, and what each way to end means to a shell.

0  done; of a job: all succeeded       2  wrong use or bad input: nothing was sent
1  the job ended, not all succeeded    3  the server could not be reached, or refused
70 a bug in here    128 + n  stopped by signal n (Ctrl-C is 130)
"""

import os
import sys
import traceback
from collections.abc import Sequence
from typing import Annotated

import typer

from batchyard import __version__
from batchyard.cli import (
    batches,
    cluster,
    estimate,
    folder,
    keys,
    labels,
    lanes,
    many,
    owners,
    retry,
    run,
    serve,
    upstreams,
    usage,
    webhooks,
)
from batchyard.cli.advice import advice
from batchyard.cli.loop import Stopped
from batchyard.cli.screen import say
from batchyard.cli.streams import hold_closed
from batchyard.client.errors import ServerError, WrongUse
from batchyard.declared import ConfigError

WRONG, NO_SERVER, BUG = 2, 3, 70
INTERRUPTED, PIPE_CLOSED, TERMINATED = 130, 141, 143

ENDS: tuple[tuple[type[BaseException] | tuple[type[BaseException], ...], int], ...] = (
    (BrokenPipeError, PIPE_CLOSED),
    ((WrongUse, ConfigError, typer.TyperException), WRONG),
    (ServerError, NO_SERVER),
    (OSError, WRONG),  # of a file of the user's: what a network does is a ServerError
    ((KeyboardInterrupt, typer.Abort), INTERRUPTED),
    (Stopped, TERMINATED),
    (BaseException, BUG),
)

program = typer.Typer(
    help="A self-hosted Message Batches server for any model, and the client of such servers.",
    pretty_exceptions_enable=False,  # they show local variables: keys and prompts
    rich_markup_mode=None,
    no_args_is_help=True,
)
key_commands = typer.Typer(help="Make, list, rotate and revoke API keys.", rich_markup_mode=None, no_args_is_help=True)

webhook_commands = typer.Typer(help="Show and test webhooks.", rich_markup_mode=None, no_args_is_help=True)
ray_commands = typer.Typer(help="Run dispatchers on a Ray cluster.", rich_markup_mode=None, no_args_is_help=True)
upstream_commands = typer.Typer(help="List and try model servers.", rich_markup_mode=None, no_args_is_help=True)

lane_commands = typer.Typer(help="See and pause lanes.", rich_markup_mode=None, no_args_is_help=True)

program.command("serve")(serve.serve)
program.command("run")(run.run)
program.command("estimate")(estimate.estimate)
program.command("create")(batches.create)
program.command("list")(batches.list_)
program.command("show")(batches.show)
program.command("watch")(many.watch)
program.command("results")(batches.results)
program.command("cancel")(many.cancel)
program.command("pause")(batches.pause)
program.command("resume")(batches.resume)
program.command("delete")(many.delete)
program.command("retry")(retry.retry)
program.command("owners")(owners.owners)
program.command("check")(folder.check)
program.command("backup")(folder.backup)
program.command("usage")(usage.usage)
program.command("label")(labels.label)
program.command("search")(labels.search)
key_commands.command("create")(keys.create)
key_commands.command("list")(keys.list_)
key_commands.command("revoke")(keys.revoke)
key_commands.command("rotate")(keys.rotate)
program.add_typer(key_commands, name="keys")
ray_commands.command("up")(cluster.up)
ray_commands.command("down")(cluster.down)
program.add_typer(ray_commands, name="ray")
upstream_commands.command("list")(upstreams.list_)
upstream_commands.command("test")(upstreams.try_out)
upstream_commands.command("set-key")(upstreams.set_key)
upstream_commands.command("forget-key")(upstreams.forget_key)
program.add_typer(upstream_commands, name="upstreams")
lane_commands.command("list")(lanes.list_)
lane_commands.command("pause")(lanes.pause)
lane_commands.command("resume")(lanes.resume)
program.add_typer(lane_commands, name="lanes")
webhook_commands.command("list")(webhooks.list_)
webhook_commands.command("deliveries")(webhooks.deliveries)
webhook_commands.command("test")(webhooks.send_test)
program.add_typer(webhook_commands, name="webhooks")


def _print_version(wanted: bool) -> None:
    if wanted:
        typer.echo(f"batchyard {__version__}")
        raise typer.Exit


@program.callback()
def options(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """A self-hosted Message Batches server for any model, and the client of such servers.

    \b
    Example:
      $ batchyard serve
      $ batchyard run requests.jsonl -o results.jsonl
    """


def main() -> None:
    """Run the command line and exit."""
    hold_closed(has_data=sys.argv[1:2] != ["serve"])
    sys.exit(status(sys.argv[1:]))


def status(arguments: Sequence[str]) -> int:
    """Run a command and return its exit status; whatever went wrong is said in words on standard error."""
    try:
        ended = program(args=list(arguments), prog_name="batchyard", standalone_mode=False)
        sys.stdout.flush()
    except SystemExit as leaving:  # Typer's own way to meet a closed pipe, whose 1 has another meaning here
        if isinstance(leaving.__context__, BrokenPipeError):
            return _told(leaving.__context__)
        raise
    except BaseException as problem:  # noqa: BLE001 - whatever it is, a shell gets a status that means it
        return _told(problem)
    return ended if isinstance(ended, int) else 0


def _told(problem: BaseException) -> int:
    code = next(code for kinds, code in ENDS if isinstance(problem, kinds))
    match problem:
        case BrokenPipeError():
            _forget_stdout()
        case typer.TyperException():
            return _wrong_use(problem)
        case WrongUse() | ConfigError() | ServerError():
            say("\n".join(f"batchyard: {line}" for line in [*str(problem).splitlines(), *advice(problem)]))
        case OSError():
            say(f"batchyard: {problem.filename or 'reading or writing'}: {problem.strerror or problem}")
            _leave_stdout()
        case Exception() if code == BUG:
            traceback.print_exception(problem)
    return code


def _wrong_use(wrong: typer.TyperException) -> int:
    context = getattr(wrong, "ctx", None)
    text = wrong.format_message()
    if "\n" in text:  # a command without its subcommand: the text is its help
        say(text)
    else:
        command = context.command_path if context is not None else "batchyard"
        say(f"{command}: {text} See `{command} --help`.")
    return wrong.exit_code


def _leave_stdout() -> None:
    """Let go of what standard output does not take, which was told already."""
    try:
        sys.stdout.flush()
    except OSError:
        _forget_stdout()


def _forget_stdout() -> None:
    """Nobody reads standard output any more: keep Python from saying so when it flushes at exit."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
