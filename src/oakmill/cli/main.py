"""The `oakmill` command: loads each sub-command when it is called, and turns errors into words and exit codes."""

from __future__ import annotations

import errno
import os
import signal
import sys
from types import FrameType
from typing import NoReturn

import click

from oakmill import __version__
from oakmill.errors import OakmillError, OutputError

COMMANDS = {
    "convert": "Convert a model for an OAK camera, with proof of accuracy.",
    "check": "Say whether a model can go to each platform, and what stands in the way.",
    "replay": "Follow a recipe again, and say whether the bytes are the same.",
    "verify": "Look at a finished file again, and say what no longer holds.",
    "evaluate": "Say how often a finished file is right, on labelled images.",
    "infer": "Run a finished file on images, and write its outputs as .npy files.",
    "devices": "List the cameras that are attached to this machine.",
    "run": "Run a finished file on an attached camera.",
    "benchmark": "Measure how fast an attached camera runs a finished file.",
    "prove": "Measure a finished file on an attached camera as its passport does.",
    "compare": "Put two results side by side.",
    "inspect": "Say what a model is: inputs, outputs, operators, head, versions.",
    "archive": "Pack a file by hand into an NN Archive.",
    "toolchains": "List, install, verify and remove the vendors' tools.",
    "datasets": "List, install, add and examine calibration sets.",
    "login": "Keep the address of a hub, and a key to it.",
    "logout": "Forget the key to a hub, and end it.",
    "models": "List, show, create and delete a hub's models.",
    "aliases": "Point names as prod to a model's versions, move them and lead them back.",
    "trash": "Show what was deleted in a hub, restore it or delete it for good.",
    "import": "Fetch a model from Hugging Face or HubAI, into a folder or a hub.",
    "upload": "Bring a model into a hub.",
    "download": "Fetch a model from a hub.",
    "bundle": "Write models with all their files into one file, for a hub without a network.",
    "unbundle": "Take the models of a bundle in.",
    "jobs": "List, show, cancel and retry a hub's jobs.",
    "logs": "Show what a hub's job tells.",
    "serve": "Run the hub: its API, its pages and its workers.",
    "worker": "Run the hub's jobs, one at a time.",
    "agent": "Prove and time a hub's results on this machine's cameras.",
    "keys": "Create, list and revoke the hub's keys, and its teams.",
    "users": "List, shut out and let in who signs in at the provider.",
    "webhooks": "Tell addresses of yours, signed, when jobs of a hub end.",
    "retention": "Show and set for how long teams' results are kept, and what would go.",
    "backup": "Copy the hub of this machine into a folder, while it runs.",
    "restore": "Make an empty hub the one of a backup.",
    "cache": "Show and empty the cache of results.",
    "doctor": "Show what works on this machine, and what to do about what does not.",
}
INTERRUPTED = 130
_OF_STREAMS = frozenset({errno.ENOSPC, errno.EPIPE, errno.EIO, errno.EDQUOT})


def _of_results(name: str) -> click.Command | None:
    """Commands that look at what a conversion made."""
    command: click.Command
    match name:
        case "verify":
            from oakmill.cli.verify import command
        case "evaluate":
            from oakmill.cli.evaluate import command
        case "infer":
            from oakmill.cli.infer import command
        case "compare":
            from oakmill.cli.compare import command
        case "inspect":
            from oakmill.cli.inspect import command
        case "archive":
            from oakmill.cli.archive import command
        case _:
            return None
    return command


def _of_cameras(name: str) -> click.Command | None:
    """Commands that need an attached camera."""
    command: click.Command
    match name:
        case "devices":
            from oakmill.cli.devices import command
        case "run":
            from oakmill.cli.on_camera import run as command
        case "benchmark":
            from oakmill.cli.on_camera import benchmark as command
        case "prove":
            from oakmill.cli.on_camera import prove as command
        case "agent":
            from oakmill.cli.agent import command
        case _:
            return None
    return command


def _of_files(name: str) -> click.Command | None:
    """Commands that work on this machine's files alone."""
    command: click.Command
    match name:
        case "convert":
            from oakmill.cli.convert import command
        case "check":
            from oakmill.cli.check import command
        case "replay":
            from oakmill.cli.replay import command
        case "toolchains":
            from oakmill.cli.toolchains import command
        case "datasets":
            from oakmill.cli.datasets import command
        case "cache":
            from oakmill.cli.cache import command
        case "doctor":
            from oakmill.cli.doctor import command
        case "import":
            from oakmill.cli.importing import command
        case _:
            return None
    return command


def _of_registry(name: str) -> click.Command | None:
    """Commands about what a hub holds."""
    command: click.Command
    match name:
        case "models":
            from oakmill.cli.models import command
        case "aliases":
            from oakmill.cli.aliases import command
        case "trash":
            from oakmill.cli.trash import command
        case "upload":
            from oakmill.cli.upload import command
        case "download":
            from oakmill.cli.download import command
        case "bundle":
            from oakmill.cli.bundle import command
        case "unbundle":
            from oakmill.cli.unbundle import command
        case _:
            return None
    return command


def _of_client(name: str) -> click.Command | None:
    """Commands that speak to a hub of other things."""
    command: click.Command
    match name:
        case "login":
            from oakmill.cli.login import command
        case "logout":
            from oakmill.cli.login import logout as command
        case "jobs":
            from oakmill.cli.jobs import command
        case "logs":
            from oakmill.cli.logs import command
        case "webhooks":
            from oakmill.cli.webhooks import command
        case _:
            return None
    return command


def _of_server(name: str) -> click.Command | None:
    """Commands that are a hub, or keep one."""
    command: click.Command
    match name:
        case "serve":
            from oakmill.cli.serve import command
        case "worker":
            from oakmill.cli.worker import command
        case "keys":
            from oakmill.cli.keys import command
        case "users":
            from oakmill.cli.users import command
        case "retention":
            from oakmill.cli.retention import command
        case "backup":
            from oakmill.cli.backup import command
        case "restore":
            from oakmill.cli.restore import command
        case _:
            return None
    return command


class _LazyGroup(click.Group):
    """Imports a sub-command's module only when it is needed, so that `oakmill --help` is quick."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        rooms = (_of_files, _of_results, _of_cameras, _of_registry, _of_client, _of_server)
        return next(filter(None, (room(cmd_name) for room in rooms)), None)

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group(cls=_LazyGroup, invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="oakmill")
@click.option("--hub", metavar="URL", help="The hub to speak to; by default the one of the last login.")
@click.pass_context
def cli(ctx: click.Context, hub: str | None) -> None:
    """Convert trained models for OAK cameras, on your own machine, with proof of accuracy on every result."""
    if ctx.invoked_subcommand is None:
        click.echo(HOW_TO_BEGIN)


HOW_TO_BEGIN = """\
Oakmill converts trained models for OAK cameras, on your own machine, with proof of accuracy on every result.

Begin with the example, a small digit classifier that is trained in seconds:
  ./run example                         makes examples/out/digits.onnx and images, and says how to convert it

Then your own model:
  ./run convert model.onnx --to rvc2 --mean-values 123.675,116.28,103.53 --scale-values 58.395,57.12,57.375
  ./run convert model.onnx --to rvc4 --quantization-data images/
  ./run convert --help                  all options
  ./run datasets list                   calibration sets for quantization
  ./run toolchains list                 the vendors' tools, and how to install them
  ./run doctor                          what works on this machine"""


def main() -> NoReturn:
    """Run the command line; exit codes are those of `oakmill.errors`, 2 for wrong usage, 130 when interrupted."""
    signal.signal(signal.SIGTERM, _interrupt)
    if signal.getsignal(signal.SIGHUP) is signal.SIG_DFL:  # else nohup wants it to go on
        signal.signal(signal.SIGHUP, _interrupt)
    try:
        cli(standalone_mode=False)
        sys.stdout.flush()
    except OakmillError as error:
        _complain(error)
        sys.exit(error.exit_code)
    except click.ClickException as error:
        error.show()
        sys.exit(error.exit_code)
    except (KeyboardInterrupt, click.Abort):
        click.echo("oakmill: interrupted; nothing half-made is left behind", err=True)
        sys.exit(INTERRUPTED)
    except OSError as error:
        if error.filename is not None or error.errno not in _OF_STREAMS:
            raise
        _leave_unwritten(error)
    sys.exit(0)


def _leave_unwritten(error: OSError) -> NoReturn:
    """End where what is printed goes nowhere: a reader such as `head` has enough, or the disk behind it is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # Python flushes once more at its end
    if error.errno == errno.EPIPE:
        sys.exit(128 + signal.SIGPIPE)
    click.echo(f"oakmill: what it says cannot be written: {error.strerror}. Print to another place.", err=True)
    sys.exit(OutputError.exit_code)


def _interrupt(number: int, frame: FrameType | None) -> NoReturn:
    """Being asked to end is as Ctrl-C: everything is put away on the way out."""
    raise KeyboardInterrupt


def _complain(error: OakmillError) -> None:
    click.echo(click.style("error: ", fg="red", bold=True) + error.message, err=True)
    if error.remedy:
        click.echo(click.style("  try: ", fg="green") + error.remedy, err=True)
