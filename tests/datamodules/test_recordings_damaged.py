from pathlib import Path

import pytest
from hypothesis import HealthCheck
from hypothesis import given
from hypothesis import settings
from hypothesis import strategies as st

from datamodules.recordings import SUFFIXES
from tests.datamodules import event_files as files
from tests.datamodules.event_files import write
from tests.datamodules.recording_formats import ENCODERS
from tests.datamodules.recording_formats import SMALL_HW
from tests.datamodules.recording_formats import acceptable


@pytest.mark.parametrize("name", ENCODERS)
@settings(
    max_examples=40,
    deadline=2000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(data=st.data())
def test_damage_ends_in_a_sound_recording_or_an_error_that_names_the_file(
    name: str, tmp_path: Path, data: st.DataObject
) -> None:
    suffix, encode = ENCODERS[name]
    content = bytearray(encode(files.random_events(12, SMALL_HW)))
    for _ in range(data.draw(st.integers(0, 4))):
        content[data.draw(st.integers(0, len(content) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.integers(0, len(content)) | st.just(len(content)))
    path = write(tmp_path / f"a{suffix}", bytes(content[:end]))
    acceptable(path, data.draw(st.sampled_from([None, SMALL_HW])))


@pytest.mark.parametrize("suffix", SUFFIXES)
@settings(
    max_examples=25,
    deadline=2000,
    derandomize=True,
    suppress_health_check=[HealthCheck.function_scoped_fixture],
)
@given(content=st.binary(max_size=200))
def test_noise_ends_in_a_sound_recording_or_an_error_that_names_the_file(
    suffix: str, tmp_path: Path, content: bytes
) -> None:
    acceptable(write(tmp_path / f"a{suffix}", content), SMALL_HW)
