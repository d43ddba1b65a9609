"""`make docs`: write every passage and picture that is made anew, or say which are stale.

`python -m documents [--check]`. The pictures of the annotator need a browser:
`python -m documents.screenshots`.
"""

import argparse
import sys

from documents.passages import filled
from documents.register import FILES, PASSAGES, ROOT, documents


def stale() -> dict[str, str]:
    """Return what should stand in each file, relative to the repository, that says otherwise."""
    wanted = {
        str(path.relative_to(ROOT)): filled(path.read_text(), PASSAGES) for path in documents()
    }
    wanted |= {name: make() for name, make in FILES.items()}
    return {
        name: text
        for name, text in wanted.items()
        if not (ROOT / name).exists() or (ROOT / name).read_text() != text
    }


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--check", action="store_true", help="Write nothing; fail if it would.")
    check = parser.parse_args().check
    outdated = stale()
    for name, text in outdated.items():
        print(f"{name} is stale: run make docs" if check else name)
        if not check:
            (ROOT / name).parent.mkdir(parents=True, exist_ok=True)
            (ROOT / name).write_text(text)
    return int(check and bool(outdated))


if __name__ == "__main__":
    sys.exit(main())
