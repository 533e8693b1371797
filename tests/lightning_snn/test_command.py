"""What the commands share: a mistake is one line and code 2, an interrupt unwinds, the first process speaks."""

import os
import signal
import subprocess
import sys
import warnings
from collections.abc import Sequence

import pytest

from conf.schema import ConfigError
from datamodules.errors import DataError
from lightning_snn._command import is_first_process
from lightning_snn._command import run_command
from lightning_snn.errors import ArtifactError
from lightning_snn.errors import NetworkError
from lightning_snn.errors import RunError
from lightning_snn.errors import SurgeryError


def command(work: object) -> int:
    def carry_out(arguments: Sequence[str]) -> int:
        if isinstance(work, BaseException):
            raise work
        return int(str(work))

    return run_command(carry_out, ["--seed", "1"], lambda: "help", after_interrupt="Call again.")


def test_the_code_is_that_of_the_work() -> None:
    assert command(3) == 3


@pytest.mark.parametrize("kind", [ConfigError, DataError, NetworkError, SurgeryError, ArtifactError, RunError])
def test_what_a_user_can_mend_is_one_line(kind: type[Exception], capsys: pytest.CaptureFixture[str]) -> None:
    assert command(kind("Two\n  lines of text.")) == 2
    assert capsys.readouterr() == ("", "error: Two lines of text.\n")


def test_a_warning_is_one_line_without_its_place_in_the_source_whoever_replaces_the_formatter(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(arguments: Sequence[str]) -> int:
        monkeypatch.setattr(warnings, "formatwarning", lambda *_: "another's")  # as Lightning does, when it is imported
        warnings.showwarning(UserWarning("Two\n  lines."), UserWarning, __file__, 1)
        return 0

    before = warnings.showwarning
    assert run_command(work, [], lambda: "help") == 0
    assert capsys.readouterr().err == "warning: Two lines.\n"
    assert command(RunError("mended")) == 2
    assert warnings.showwarning is before


def test_a_warning_goes_to_stderr() -> None:
    script = (
        "import warnings; from lightning_snn._command import run_command\n"
        "def work(_):\n    warnings.warn('This is slow.')\n    return 0\n"
        "run_command(work, [], lambda: 'help')"
    )
    found = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert (found.stdout, found.stderr) == ("", "warning: This is slow.\n")


def test_an_error_of_ours_is_not_hidden() -> None:
    with pytest.raises(TypeError, match="int"):  # raised by the line of ours that calls the work
        run_command(int, ["--seed"], lambda: "help")  # type: ignore[arg-type]  # wrong on purpose


def test_code_of_the_users_is_one_line_whenever_it_raises(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(OSError("no\n  such file.")) == 2
    said = capsys.readouterr().err
    assert said.startswith("error: Code of yours raised OSError in ")
    assert said.endswith(": no such file. --debug shows the way there.\n")
    assert f"{os.path.basename(__file__)}, line " in said


def test_no_memory_is_nobodys_mistake() -> None:
    with pytest.raises(MemoryError):
        command(MemoryError())


@pytest.mark.parametrize("error", [ConfigError("Two\n  lines of text."), OSError("no such file")])
def test_debug_shows_the_way_there_and_is_no_argument_of_the_work(
    error: Exception, capsys: pytest.CaptureFixture[str]
) -> None:
    def work(arguments: Sequence[str]) -> int:
        assert arguments == ["--seed", "1"]
        raise error

    assert run_command(work, ["--debug", "--seed", "1"], lambda: "help") == 2
    *way, sentence = capsys.readouterr().err.splitlines()
    assert way[0] == "Traceback (most recent call last):"
    assert any("in work" in line for line in way)
    assert sentence.startswith("error: ")


def test_an_interrupt_says_what_now(capsys: pytest.CaptureFixture[str]) -> None:
    assert command(KeyboardInterrupt()) == 130
    assert capsys.readouterr().err == "Interrupted. Call again.\n"


def test_sigterm_unwinds_and_the_handler_is_put_back(capsys: pytest.CaptureFixture[str]) -> None:
    before, unwound = signal.getsignal(signal.SIGTERM), []

    def work(arguments: Sequence[str]) -> int:
        try:
            os.kill(os.getpid(), signal.SIGTERM)
            pytest.fail("the signal must end it")
        except Exception:
            pytest.fail("nothing may swallow it")
        finally:
            unwound.append(True)

    assert run_command(work, [], lambda: "help") == 143
    assert unwound == [True]
    assert capsys.readouterr().err == "Terminated. The same command goes on from here.\n"
    assert signal.getsignal(signal.SIGTERM) is before


@pytest.mark.parametrize("arguments", [["--help"], ["-h"], ["help"], ["--seed", "1", "--help"]])
def test_help_is_printed_whatever_else_is_said(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert run_command(lambda _: pytest.fail("must not start"), arguments, lambda: "how to") == 0
    assert capsys.readouterr().out == "how to\n"


@pytest.mark.parametrize(
    ("environment", "devices", "first"),
    [
        ({}, 2, True),
        ({"LOCAL_RANK": "0"}, 2, True),
        ({"LOCAL_RANK": "1"}, 2, False),
        ({"RANK": "2", "LOCAL_RANK": "0"}, 4, False),  # the first of a second machine
        ({"SLURM_PROCID": "1"}, 2, False),
        ({"SLURM_PROCID": "1"}, 1, True),  # one of many runs that Slurm started at once
    ],
)
def test_of_several_processes_the_first_speaks(
    environment: dict[str, str], devices: int, first: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("RANK", "LOCAL_RANK", "SLURM_PROCID"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert is_first_process(devices) is first


def test_whoever_reads_the_help_may_have_seen_enough() -> None:
    command = [sys.executable, "-m", "lightning_snn.train", "--help"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        process.stdout.close()
        assert process.stderr is not None
        assert process.stderr.read() == ""
    assert process.returncode == 128 + signal.SIGPIPE
