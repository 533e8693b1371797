"""What travels of a row: its folder on this machine, and the state that it came from and goes to."""

from pathlib import Path

from _paper_state import identity_of
from _paper_state import pack
from _paper_state import unpack

from lightning_snn.files import read_json
from lightning_snn.files import write_json


class Carried:
    """``work/<row>``, kept in step with the state by the identities of all states that this folder has been in."""

    def __init__(self, row: str, work: Path, state: Path) -> None:
        """Name the folders; nothing is read yet."""
        self._row, self._state = row, state
        self.folder = work / row
        self._seen = work / f"{row}-states.json"

    def receive(self) -> list[tuple[str, int]]:
        """Unpack the state, unless this machine's folder stems from it and so is as far or further.

        Returns:
            Path and finished epochs of each checkpoint that came without its optimizer's state.

        Raises:
            RunError: If the state is damaged, or of another row.
        """
        identity = identity_of(self._state, self._row)
        if identity is None or identity in self._identities():
            return []
        self._seen.unlink(missing_ok=True)
        continued = unpack(self._state, self.folder)
        self._remember(identity)
        return continued

    def send(self) -> list[str]:
        """Pack the state; return the files that did not fit."""
        return pack(self.folder, self._state, self._row, self._remember)

    def _identities(self) -> list[str]:
        if not self.folder.exists() or not self._seen.exists():
            return []
        return [str(each) for each in read_json(self._seen)]

    def _remember(self, identity: str) -> None:
        write_json(self._seen, [*self._identities(), identity])
