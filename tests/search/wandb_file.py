"""Reads back what an offline run of Weights & Biases left."""

import json
import struct
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any


class WandbFile:
    """What an offline run left, read from its ``.wandb`` file: records in LevelDB's log format, after 7 bytes."""

    def __init__(self, folder: Path) -> None:
        (self.folder,) = (folder / "wandb").glob("offline-run-*")
        (file,) = self.folder.glob("*.wandb")
        deadline = time.monotonic() + 30.0
        while True:  # W&B's own process may still be writing after the run was finished
            self.records = list(self._records(file.read_bytes()))
            if self.of_kind("exit"):
                break
            assert time.monotonic() < deadline, f"{file} does not end ({len(self.records)} records)"
            time.sleep(0.1)

    @staticmethod
    def _records(content: bytes) -> Iterator[Any]:
        from wandb.proto.wandb_internal_pb2 import Record  # type: ignore[attr-defined]  # imported by star there

        position, whole, block = 7, b"", 32768
        while position + 7 <= len(content):
            if block - position % block < 7:  # no header fits: the rest of the block is empty
                position += block - position % block
                continue
            _, length, kind = struct.unpack("<IHB", content[position : position + 7])
            if position + 7 + length > len(content):
                return  # still being written
            whole += content[position + 7 : position + 7 + length]
            position += 7 + length
            if kind in (1, 4):  # a full record, or the last part of one
                yield Record.FromString(whole)
                whole = b""

    def of_kind(self, kind: str) -> list[Any]:
        return [getattr(each, kind) for each in self.records if each.WhichOneof("record_type") == kind]

    def rows(self) -> list[dict[str, Any]]:
        """The history, a dict a row; keys of nested values joined by "|"."""
        return [
            {"|".join(item.nested_key) or item.key: json.loads(item.value_json) for item in row.item}
            for row in self.of_kind("history")
        ]

    def summary(self) -> dict[str, Any]:
        updates = [item for summary in self.of_kind("summary") for item in summary.update]
        return {"|".join(item.nested_key) or item.key: json.loads(item.value_json) for item in updates}

    def table(self, name: str) -> tuple[list[str], list[list[Any]]]:
        (file,) = self.folder.glob(f"files/media/table/**/{name}_*.table.json")
        content = json.loads(file.read_text())
        return content["columns"], content["data"]
