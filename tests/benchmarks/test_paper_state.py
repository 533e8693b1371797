"""What a state keeps, how large it gets, and that no kill and no damage goes unnoticed."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from _paper_carried import Carried
from _paper_state import LIMIT
from _paper_state import PART
from _paper_state import finished_epochs
from _paper_state import identity_of
from _paper_state import pack
from _paper_state import unpack

from lightning_snn.errors import RunError


def noise(bytes_: int, seed: int = 0) -> bytes:
    return np.random.default_rng(seed).bytes(bytes_)


def fill(work: Path, files: dict[str, bytes]) -> dict[str, bytes]:
    for name, content in files.items():
        (work / name).parent.mkdir(parents=True, exist_ok=True)
        (work / name).write_bytes(content)
    return files


def content_of(folder: Path) -> dict[str, bytes]:
    return {file.relative_to(folder).as_posix(): file.read_bytes() for file in folder.rglob("*") if file.is_file()}


def checkpoint(file: Path, epoch: int) -> None:
    weight = torch.nn.Parameter(torch.randn(300))
    optimizer = torch.optim.SGD([weight], 0.1, momentum=0.9)
    torch.autograd.backward(weight.sum())
    optimizer.step()
    file.parent.mkdir(parents=True, exist_ok=True)
    values = {"epoch": epoch, "state_dict": {"w": weight.detach()}, "optimizer_states": [optimizer.state_dict()]}
    torch.save(values, file)


@pytest.mark.parametrize("sizes", [(0, 1, 3, 4, 1001), (70_000,)])
def test_files_come_back_bit_by_bit(sizes: tuple[int, ...], tmp_path: Path) -> None:
    files = fill(tmp_path / "work", {f"a/{size}.bin": noise(size, size) for size in sizes} | {"b.json": b"{}"})
    assert pack(tmp_path / "work", tmp_path / "state", "row") == []
    assert unpack(tmp_path / "state", tmp_path / "other") == []
    assert content_of(tmp_path / "other") == files


def test_hidden_files_stay_at_home(tmp_path: Path) -> None:
    fill(tmp_path / "work", {".lock": b"", "a/.tmp-1": b"x", ".git/x": b"x", "a/b": b"y"})
    pack(tmp_path / "work", tmp_path / "state", "row")
    unpack(tmp_path / "state", tmp_path / "other")
    assert content_of(tmp_path / "other") == {"a/b": b"y"}


def test_a_checkpoint_comes_back_without_momentum_and_says_so(tmp_path: Path) -> None:
    file = tmp_path / "work" / "training" / "last.ckpt"
    checkpoint(file, epoch=4)
    before = file.read_bytes()
    pack(tmp_path / "work", tmp_path / "state", "row")
    assert file.read_bytes() == before
    assert unpack(tmp_path / "state", tmp_path / "other") == [("training/last.ckpt", 5)]
    there, here = (torch.load(tmp_path / f / "training" / "last.ckpt", weights_only=True) for f in ("other", "work"))
    assert torch.equal(there["state_dict"]["w"], here["state_dict"]["w"])
    assert there["optimizer_states"][0]["param_groups"] == here["optimizer_states"][0]["param_groups"]
    assert here["optimizer_states"][0]["state"]
    assert not there["optimizer_states"][0]["state"]
    assert (finished_epochs(file), finished_epochs(tmp_path / "none.ckpt")) == (5, 0)


def test_weights_rounded_to_bfloat16_take_half(tmp_path: Path) -> None:
    weights = torch.randn(200_000, generator=torch.Generator().manual_seed(0)) * 0.02
    sizes = []
    for name, values in (("whole", weights), ("rounded", weights.bfloat16().float())):
        fill(tmp_path / name, {"model.safetensors": values.numpy().tobytes()})
        pack(tmp_path / name, tmp_path / f"state-{name}", "row")
        sizes.append(sum(file.stat().st_size for file in (tmp_path / f"state-{name}").iterdir()))
    assert sizes[1] < 0.5 * sizes[0] < 0.5 * 4 * 200_000


def test_limits_are_those_that_were_promised() -> None:
    assert LIMIT < 60 * 2**20
    assert PART <= 15 * 2**20


def test_parts_and_state_keep_their_limits_and_the_least_needed_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("_paper_state.LIMIT", 60_000)
    monkeypatch.setattr("_paper_state.PART", 16_000)
    monkeypatch.setattr("_paper_state.LARGE", 10_000)
    fill(
        tmp_path / "work",
        {"best/model": noise(30_000), "dense/model": noise(40_000), "study.db": noise(2_000), "z.json": b"[1]"},
    )
    checkpoint(tmp_path / "work" / "a" / "last.ckpt", 1)
    assert pack(tmp_path / "work", tmp_path / "state", "row") == ["best/model"]
    parts = [file.stat().st_size for file in (tmp_path / "state").glob("*.part")]
    assert len(parts) == 3
    assert max(parts) <= 16_000
    assert sum(parts) <= 60_000
    assert json.loads((tmp_path / "state" / "manifest.json").read_text())["left_out"] == ["best/model"]
    unpack(tmp_path / "state", tmp_path / "other")
    assert sorted(content_of(tmp_path / "other")) == ["a/last.ckpt", "dense/model", "study.db", "z.json"]


def test_a_kill_while_packing_leaves_the_state_before(tmp_path: Path) -> None:
    old = fill(tmp_path / "work", {"a": noise(1000)})
    pack(tmp_path / "work", tmp_path / "state", "row")
    new = fill(tmp_path / "work", {"a": noise(1000, 1), "b": noise(50)})

    def killed(identity: str) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        pack(tmp_path / "work", tmp_path / "state", "row", killed)
    unpack(tmp_path / "state", tmp_path / "other")
    assert content_of(tmp_path / "other") == old
    pack(tmp_path / "work", tmp_path / "state", "row")
    unpack(tmp_path / "state", tmp_path / "other")
    assert content_of(tmp_path / "other") == new
    assert len(list((tmp_path / "state").iterdir())) == 2  # nothing of the state before


@pytest.mark.parametrize("how", ["flipped", "short", "missing"])
def test_a_damaged_part_is_a_sentence_and_leaves_the_work_folder(how: str, tmp_path: Path) -> None:
    fill(tmp_path / "work", {"a": noise(1000)})
    pack(tmp_path / "work", tmp_path / "state", "row")
    (part,) = (tmp_path / "state").glob("*.part")
    content = bytearray(part.read_bytes())
    content[100] ^= 1
    if how == "missing":
        part.unlink()
    else:
        part.write_bytes(content if how == "flipped" else part.read_bytes()[:-1])
    mine = fill(tmp_path / "other", {"mine": b"1"})
    with pytest.raises(RunError, match=f"damaged: found .* in .*{part.name}.* Bring it again, or delete"):
        unpack(tmp_path / "state", tmp_path / "other")
    assert content_of(tmp_path / "other") == mine


@pytest.mark.parametrize("text", ["{", "[]", '{"format": 2}'])
def test_a_damaged_manifest_is_a_sentence(text: str, tmp_path: Path) -> None:
    fill(tmp_path / "state", {"manifest.json": text.encode()})
    with pytest.raises(RunError, match=r"damaged: found .* in .*manifest\.json"):
        identity_of(tmp_path / "state", "row")


@pytest.mark.parametrize("path", ["../outside", "/tmp/outside", "a/../../outside"])
def test_nothing_is_written_outside_of_the_work_folder(path: str, tmp_path: Path) -> None:
    fill(tmp_path / "work", {"a": b"1"})
    pack(tmp_path / "work", tmp_path / "state", "row")
    manifest = tmp_path / "state" / "manifest.json"
    manifest.write_text(manifest.read_text().replace('"path": "a"', f'"path": "{path}"'))
    with pytest.raises(RunError, match="a file outside"):
        unpack(tmp_path / "state", tmp_path / "other")


def test_the_state_of_another_row_is_refused(tmp_path: Path) -> None:
    fill(tmp_path / "work", {"a": b"1"})
    pack(tmp_path / "work", tmp_path / "state", "one")
    with pytest.raises(RunError, match="holds the state of row 'one', not of 'two'"):
        identity_of(tmp_path / "state", "two")


def test_a_machine_goes_on_with_its_own_folder_and_takes_over_what_comes_from_another(tmp_path: Path) -> None:
    state = tmp_path / "state"
    here, there = (Carried("row", tmp_path / name, state) for name in ("here", "there"))
    assert here.receive() == []  # no state yet
    fill(here.folder, {"a": b"1"})
    here.send()
    fill(here.folder, {"a": b"2"})
    here.receive()
    assert content_of(here.folder) == {"a": b"2"}  # further than the state that it sent
    there.receive()
    assert content_of(there.folder) == {"a": b"1"}
    fill(there.folder, {"a": b"3"})
    there.send()
    here.receive()
    assert content_of(here.folder) == {"a": b"3"}
    for file in here.folder.iterdir():
        file.unlink()
    here.folder.rmdir()
    here.receive()
    assert content_of(here.folder) == {"a": b"3"}  # seen before, but lost since
