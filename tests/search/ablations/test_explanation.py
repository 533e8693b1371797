"""``python -m search.ablate NAME --help``: how each question is answered."""

import pkgutil

import pytest

from search.ablate import main
from search.ablations import ABLATIONS
from search.ablations.searches import SearchAblation


@pytest.mark.parametrize("name", ABLATIONS)
def test_each_question_is_explained(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    text = capsys.readouterr().out
    source, question = ABLATIONS[name]
    ablation = pkgutil.resolve_name(source)
    assert text.startswith(question)
    assert f"python -m search.ablate {name}" in text
    assert "Conclusion by rule" in text
    if isinstance(ablation, SearchAblation):
        rows = {line.strip().split("  ")[0]: line for line in text.splitlines() if line.startswith("  ")}
        for variant, own in ablation.variants.items():
            assert rows[variant].rstrip().endswith(" ".join(own) or "-")
            assert ablation.references.get(variant, "-") in rows[variant]


def test_without_a_question_all_are_listed(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    text = capsys.readouterr().out
    assert all(f"  {name} " in text and question in text for name, (_, question) in ABLATIONS.items())
