"""The command `channelwise`: its verbs, and how every error becomes a message and an exit code.

Exits 0, 2 (usage, parameters), 3 (bad data) or 4 (refused by a gate); 1 is trouble that is nobody's input (a full
disk), 130 an interruption. A verb imports the stages it needs when it runs, so that `--help` answers at once.
"""

import errno
import os
import sys

import typer

from channelwise.console import fail
from channelwise.verbs.check import check
from channelwise.verbs.demo import demo
from channelwise.verbs.features import features
from channelwise.verbs.monitor import monitor
from channelwise.verbs.plan import plan
from channelwise.verbs.registry import promote, rollback
from channelwise.verbs.score import score
from channelwise.verbs.serve import keys, serve
from channelwise.verbs.train import train
from contract.errors import ChannelwiseError, StorageError

app = typer.Typer(
    name="channelwise",
    help="Learn which channel each customer prefers and how they will respond; score an audience; plan a send.",
    add_completion=False,
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)
for verb in (check, features, train, promote, rollback, score, plan, serve, monitor, demo):
    app.command()(verb)
app.add_typer(keys, name="keys")


PATIENT = {"OMP_WAIT_POLICY": "PASSIVE", "OPENBLAS_NUM_THREADS": "1"}
"""LightGBM's and BLAS's threads otherwise wait for each other busily: where other work shares the cores, a training
takes several times as long. The libraries read this when they are loaded, which happens only once a verb runs."""


def main() -> None:
    """Runs the command line and exits."""
    for name, value in PATIENT.items():
        os.environ.setdefault(name, value)
    try:
        app()
    except ChannelwiseError as error:
        fail(f"channelwise: {error}")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        fail("channelwise: interrupted; nothing half-written was left in place of an output")
        sys.exit(130)
    except OSError as error:
        if error.errno not in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EACCES):
            raise
        fail(
            f"channelwise: {error.filename or 'output'}: {error.strerror}; the old output is whole. Free some space or"
        )
        fail("choose another place, then run the command again.")
        sys.exit(StorageError.exit_code)
