#!/usr/bin/env python3
"""A row of a published table on a GPU machine that is lent for short times: call it again and again until it is done.

    python benchmarks/paper_run.py --row vgg16-0.525 --state state --data data --minutes 9

Each call does as much as fits into its minutes (data, dense network, estimator, searches, fine-tuning, verification),
then packs the row into --state: a folder of under 60 MiB, in files of at most 15 MiB, which with the data is all that
the next call needs, on this machine or another. --work holds what only helps the same machine: whole checkpoints and
unpacked data. Kill it whenever you like; the state before or the new one is left. Only the momentum of a training that
is moved in its middle is lost, and the record says so. To start afresh, delete --state and --work.

No network is needed. Half the bytes of CIFAR-10, which may come in parts, one call each:

    python benchmarks/_paper_data.py data/cifar-10-batches-py packed
    python benchmarks/paper_run.py --row vgg16-0.525 --state state --data packed --step data

Beside PyTorch, torchvision, pytorch-lightning, torchmetrics, scipy, scikit-learn, matplotlib, rich, safetensors and
filelock, a machine needs 8 MB of wheels, made with ``pip wheel --no-deps -w wheels . spikingjelly torch-pruning optuna
cmaes hydra-core omegaconf antlr4-python3-runtime==4.9.3 sqlalchemy alembic mako colorlog loguru``, and there

    pip install --no-index --no-deps --target site wheels/*.whl
    PYTHONPATH=.:site python benchmarks/paper_run.py ...

Exit codes: 0 done (the record is in --results), 75 not done yet: call it again, 2 wrong input (one sentence),
130 and 143 interrupted.
"""

import argparse
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING
from typing import NoReturn

from conf.schema import ConfigError
from datamodules.errors import DataError
from lightning_snn._command import run_command

if TYPE_CHECKING:
    from _paper_row import Row

NOT_YET = 75
"""EX_TEMPFAIL of sysexits.h: try again."""
RESERVE = 20.0
"""Seconds that are kept for packing the state, or a fifth of the call where that is less."""
CIFAR_FOLDER = "cifar-10-batches-py"


class _Parser(argparse.ArgumentParser):
    """Refuses in one sentence."""

    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message[:1].upper()}{message[1:]}. See --help.")


def main(arguments: Sequence[str] | None = None) -> int:
    """Do one call; return the exit code."""
    return run_command(_call, arguments, _parser().format_help)


def _parser() -> _Parser:
    parser = _Parser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--row", required=True, help="one of benchmarks/paper/, or a JSON file of one's own")
    parser.add_argument("--state", type=Path, required=True, help="folder that travels")
    parser.add_argument("--data", type=Path, default=Path("data"), help="data sets, or archives of them")
    parser.add_argument("--work", type=Path, default=Path("runs/paper"), help="folder of this machine")
    parser.add_argument("--results", type=Path, default=Path("results/paper"), help="where the record goes")
    parser.add_argument("--minutes", type=float, default=9.0, help="time of this call, packing included")
    parser.add_argument("--step", choices=("all", "data"), default="all", help="data: only unpack what --data brings")
    return parser


def _call(arguments: Sequence[str]) -> int:
    started = time.perf_counter()
    given = _parser().parse_args(arguments)
    if not given.minutes > 0.0:
        raise ConfigError(f"--minutes must be above 0, found {given.minutes:g}. A call needs one or more.")
    from _paper_row import load_row

    row = load_row(given.row)
    root, missing = _data(row, given.data, given.work / "data")
    if missing and given.step == "all":
        raise DataError(f"CIFAR-10 lacks {', '.join(missing)} in {root}. Bring the archives in --data, in any order.")
    if missing or given.step == "data":
        print(f"{root}: {f'{CIFAR_FOLDER} still lacks ' + ', '.join(missing) if missing else 'complete'}.")
        return NOT_YET if missing else 0
    return _go_on(row, given, root, started)


def _data(row: "Row", given: Path, unpacked: Path) -> tuple[Path, list[str]]:
    """Return the root of the data sets, and the files that are missing there, after unpacking what was brought."""
    if row.settings.get("data") != "cifar10":
        return given, []
    from _paper_data import official_files
    from _paper_data import unpack

    sums = official_files()
    if all((given / CIFAR_FOLDER / name).exists() for name in sums):
        return given, []
    return unpacked, unpack(given, unpacked / CIFAR_FOLDER, sums)


def _go_on(row: "Row", given: argparse.Namespace, data: Path, started: float) -> int:
    from _paper_carried import Carried
    from _paper_record import write_record
    from _paper_work import Ledger
    from _paper_work import OutOfTime
    from _paper_work import advance
    from _paper_work import check_settings
    from _paper_work import remaining
    from _paper_work import time_limit
    from rich.console import Console

    from lightning_snn.task import identified

    console = Console(soft_wrap=True)
    carried = Carried(row.name, given.work, given.state)
    configs = {name: identified(each) for name, each in row.configs(carried.folder / "runs", data).items()}
    continued = carried.receive()
    check_settings(carried.folder, configs)
    ledger = Ledger(carried.folder / "ledger.json")
    if remaining(row, configs, ledger):
        ledger.begin(continued)
        reserve = min(RESERVE, 60.0 * given.minutes / 5.0)
        try:
            with time_limit(60.0 * given.minutes - reserve - (time.perf_counter() - started)):
                advance(row, configs, ledger, console, carried.send)
        except OutOfTime:
            console.print("The time of this call is up.")
        finally:
            ledger.end(time.perf_counter() - started)
            for file in carried.send():
                console.print(f"Does not fit into the state, and stays on this machine: {file}.")
    left = remaining(row, configs, ledger)
    if left:
        minutes = sum(seconds for _, seconds in left) / 60.0
        console.print(f"Not done yet: {'; '.join(what for what, _ in left)}. About {minutes:.1f} minutes: call again.")
        return NOT_YET
    write_record(given.results / row.name, row, configs, ledger)
    console.print(f"The row is done: {given.results / row.name}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
