"""Say what shadows one of our packages, before it is imported in place of ours.

``python -m`` looks into the current folder first, and a ``conf/`` of somebody's own is not rare. The packages that
have commands run this as a file, when Python locates a command of theirs: each of the four may be shadowed, also the
one that this file lies in. A ``search`` that shadows ours is started by Python itself: nothing of ours can say so.
"""

import importlib.util
import shlex
import sys
from pathlib import Path

PACKAGES = ("conf", "datamodules", "lightning_snn", "search")


def shadow(ours: Path) -> str | None:
    """Return the sentence about the first package that would not be imported from where ours lie, if there is one.

    Args:
        ours: The folder of our packages.
    """
    for name in PACKAGES:
        found = importlib.util.find_spec(name)
        places = [] if found is None else [found.origin or "", *(found.submodule_search_locations or ())]
        if any(Path(place).resolve() in (ours / name, ours / name / "__init__.py") for place in places):
            continue
        if found is None:
            return f"The package {name} of lightning-snn is not in {ours}. Install it again."
        place = Path(places[-1])
        what = "folder" if place.is_dir() else "file"
        command = shlex.join([Path(sys.orig_argv[0]).name, "-P", *sys.orig_argv[1:]])
        return (
            f"The {what} {place} shadows the package {name} of lightning-snn in {ours}. Rename it, work in another "
            f"folder, or have Python look into the current one last: {command}"
        )
    return None


if __name__ == "__main__":
    said = shadow(Path(__file__).resolve().parents[1])
    if said is not None:
        print(f"error: {said}", file=sys.stderr)
        raise SystemExit(2)
