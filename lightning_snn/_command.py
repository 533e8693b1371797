"""What the commands share: one sentence for what a user can mend or should know, exit codes, a signal that unwinds.

Exit codes: those of the work itself, 2 wrong input (one sentence), 130 and 143 interrupted.
"""

import os
import signal
import sys
import traceback
import warnings
from collections.abc import Callable
from collections.abc import Sequence
from types import FrameType
from typing import TextIO

from conf.schema import ConfigError
from datamodules.errors import DataError
from lightning_snn._user_code import place_of
from lightning_snn._user_code import said
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import NetworkError
from lightning_snn.errors import PruningError
from lightning_snn.errors import RunError
from lightning_snn.errors import SurgeryError

MENDABLE = (ConfigError, DataError, NetworkError, SurgeryError, PruningError, ArtifactError, RunError)
"""Errors that a user can cause and mend; any other is ours, and shows its traceback."""
DEBUG = "--debug"
"""Argument of every command: the traceback is shown before the sentence about what went wrong."""
GOES_ON = "The same command goes on from here."


class Terminated(BaseException):
    """The process was asked to end; derived like KeyboardInterrupt, so that nothing swallows it."""


def run_command(
    work: Callable[[Sequence[str]], int],
    arguments: Sequence[str] | None,
    help_text: Callable[[], str],
    after_interrupt: str = GOES_ON,
) -> int:
    """Carry out a command from its command line to its exit code; ``--debug`` in it shows where a mistake was found.

    Args:
        work: Takes the arguments and returns the exit code. Imports what takes seconds once the arguments are valid.
        arguments: The command line; by default that of the process.
        help_text: What ``--help`` prints.
        after_interrupt: What a user who interrupts it is told.
    """
    given = sys.argv[1:] if arguments is None else arguments
    arguments = [argument for argument in given if argument != DEBUG]
    before = signal.signal(signal.SIGTERM, _terminate)
    show, warnings.showwarning = warnings.showwarning, _say_warning  # the formatter alone is replaced by Lightning
    try:
        if {"-h", "--help", "help"} & set(arguments):
            print(help_text(), flush=True)
            return 0
        return work(arguments)
    except MENDABLE as error:
        return _refused(str(error), DEBUG in given)
    except BrokenPipeError:  # "| head" has seen enough
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # else closing it would complain
        return 128 + signal.SIGPIPE
    except MemoryError:
        raise
    except Exception as error:  # of a network of the user's own, at whatever it cannot do in the end; else of ours
        if place_of(error) is None:
            raise
        return _refused(f"Code of yours raised {said(error)}. {DEBUG} shows the way there.", DEBUG in given)
    except KeyboardInterrupt:
        return _ended("Interrupted", after_interrupt, signal.SIGINT)
    except Terminated:
        return _ended("Terminated", after_interrupt, signal.SIGTERM)
    finally:
        signal.signal(signal.SIGTERM, before)
        warnings.showwarning = show


def is_first_process(devices: int) -> bool:
    """Tell whether this process speaks and writes: of several that train one network, only the first does.

    Lightning, ``torchrun`` and Slurm number them by one of these variables; with one device they say nothing.
    """
    ranks = (os.environ.get(name) for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"))
    return devices == 1 or next((int(rank) for rank in ranks if rank is not None), 0) == 0


def _refused(sentence: str, debug: bool) -> int:
    if debug:
        traceback.print_exc()
    print(f"error: {' '.join(sentence.split())}", file=sys.stderr)
    return 2


def _ended(how: str, what_now: str, number: signal.Signals) -> int:
    print(f"{how}. {what_now}", file=sys.stderr)
    return 128 + number


def _say_warning(
    message: Warning | str,
    category: type[Warning],
    filename: str,
    lineno: int,
    file: TextIO | None = None,
    line: str | None = None,
) -> None:
    """Print a warning as a user reads it: the place in the source says nothing to them."""
    print(f"warning: {' '.join(str(message).split())}", file=file or sys.stderr, flush=True)


def _terminate(number: int, frame: FrameType | None) -> None:
    raise Terminated
