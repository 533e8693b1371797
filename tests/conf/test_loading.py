"""Files of ``conf/`` that are damaged, or say what nobody takes: one sentence, never silence."""

import shutil
import subprocess
import sys
from pathlib import Path

import conf

DAMAGED = {
    "data/tab": (b"name: digits\n\troot: data\n", "data/tab.yaml", "line 2"),
    "data/twice": (b"name: digits\nname: cifar10\n", "duplicate key name", "line 2"),
    "data/latin": (b"name: \xe9\n", "data/latin.yaml", "utf-8"),
    "data/lacks": (b"defaults: [nothere]\nname: digits\n", "data/lacks.yaml", "nothere"),
    "data/other": (b"name: digits\nrot: data\n", "No setting is called 'data.rot', found in conf/.", "'data.root'"),
    "strategy/bom": (b"\xef\xbb\xbf# @package _global_\nreward:\n  beta: 1\n", "'strategy.reward.beta'", "conf/"),
    "strategy/other": (b"# @package _global_\npruning:\n  tarjet: 3\n", "'pruning.tarjet'", "'pruning.target'"),
    "experiment/global": (b"training:\n  epochs: 3\n", "loaded", "3"),  # without its line it is meant as with it
    "experiment/bom": (b"\xef\xbb\xbf# @package _global_\ntraining:\n  epochs: 3\n", "loaded", "3"),
    "experiment/other": (b"training:\n  epoch: 3\n", "found in experiment other.", "'training.epochs'"),
}
SCRIPT = """
import sys
from conf.loading import load
from conf.schema import ConfigError, SearchConfig
for each in sys.argv[1:]:
    group, name = each.split("/")
    try:
        print(each, "loaded", load(SearchConfig, "search", [f"{group}={name}", "training=digits"]).training.epochs)
    except ConfigError as error:
        print(each, str(error))
"""


def test_damaged_files_are_sentences(tmp_path: Path) -> None:
    shutil.copytree(Path(conf.__file__).parent, tmp_path / "conf")
    for name, (content, *_) in DAMAGED.items():
        (tmp_path / "conf" / f"{name}.yaml").write_bytes(content)
    command = [sys.executable, "-P", "-c", f"import sys; sys.path.insert(0, {str(tmp_path)!r})\n{SCRIPT}", *DAMAGED]
    found = subprocess.run(command, capture_output=True, text=True, check=True, cwd=tmp_path).stdout.splitlines()
    assert [line.split()[0] for line in found] == list(DAMAGED)
    for line, (_, *said) in zip(found, DAMAGED.values(), strict=True):
        assert all(each in line for each in said), line
