"""What one ablation does, for ``python -m search.ablate NAME --help``."""

import inspect
import pkgutil
import textwrap

from search.ablations import ABLATIONS
from search.ablations.searches import SearchAblation

WIDTH = 110


def explain(name: str) -> str:
    """Return the question, how it is answered, and the variants with what each of them sets.

    Args:
        name: One of :data:`search.ablations.ABLATIONS`.
    """
    source, question = ABLATIONS[name]
    ablation = pkgutil.resolve_name(source)
    parts = [question, f"  python -m search.ablate {name}", inspect.getdoc(inspect.getmodule(type(ablation))) or ""]
    if isinstance(ablation, SearchAblation):
        parts += [textwrap.fill(ablation.note, WIDTH), _variants(ablation)]
        if ablation.shared:
            parts.append(f"All of them, where the command line does not say otherwise: {' '.join(ablation.shared)}")
    parts.append("Settings: python -m search.ablate --help")
    return "\n\n".join(filter(None, parts)) + "\n"


def _variants(ablation: SearchAblation) -> str:
    named, references = max(map(len, ablation.variants)), ablation.references
    held = max(map(len, references.values()))
    lines = [
        f"  {name:<{named}}  {references.get(name, '-'):<{max(held, len('held against'))}}  {' '.join(own) or '-'}"
        for name, own in ablation.variants.items()
    ]
    head = f"  {'variant':<{named}}  {'held against':<{held}}  settings"
    return "\n".join([head, *lines])
