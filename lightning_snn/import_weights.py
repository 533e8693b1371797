"""``python -m lightning_snn.import_weights``: weights that were trained elsewhere become a network of ours.

Exit codes: 0 imported, 2 wrong input (one sentence), 130 and 143 interrupted.
"""

from collections.abc import Sequence

from conf import help as conf_help
from conf.loading import given_keys
from conf.loading import load
from conf.schema import ConfigError
from conf.schema import ImportConfig
from lightning_snn._command import run_command

USAGE = """\
Import weights that were trained elsewhere: a state dict of PyTorch (.pth, .pt), a checkpoint of Lightning (.ckpt), or
safetensors.

  python -m lightning_snn.import_weights best.pth --data cifar10 --network vgg16 --out imported/vgg16
  python -m lightning_snn.import_weights last.ckpt --data digits --network._target_ my_package.MyNet
  python -m search --baseline.artifact imported/vgg16 --data cifar10 --network vgg16

The network is built as --network and its options say, and takes the tensors of its names and shapes; what stands before
all names in the file (module., net., network., ...) is left out. A tensor of the network that the file lacks is an
error, but for those of neurons and counters of batch norm; so is one that only the file has, but for --drop_unexpected
true. Nothing in the file is ever executed.
T, thresholds, time constants and how inputs are scaled are in no file of weights: the validation accuracy that is
printed shows whether they fit.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Import one file of weights; return the exit code."""
    return run_command(_import, arguments, help_text, after_interrupt="Nothing was written.")


def _import(arguments: Sequence[str]) -> int:
    if arguments and not arguments[0].startswith("--"):
        arguments = [f"file={arguments[0]}", *arguments[1:]]
    config = load(ImportConfig, "import_weights", arguments)
    said = {key.partition(".")[0] for key in given_keys(arguments)}
    if not config.file:
        raise ConfigError("No file of weights was named. Name it first: python -m lightning_snn.import_weights FILE.")
    for section in ("data", "network"):
        if section not in said:
            raise ConfigError(
                f"A file of weights does not say what {section} it is for. Say it with --{section} NAME"
                f"{' or --network._target_ my_package.MyNet' if section == 'network' else ''}."
            )
    from lightning_snn._import_run import import_file  # only now, with a valid command line: torch takes seconds

    import_file(config)
    return 0


def help_text() -> str:
    """Return what ``--help`` prints: usage, names by group, settings with their defaults."""
    return conf_help.help_text(USAGE, ImportConfig)


if __name__ == "__main__":
    raise SystemExit(main())
