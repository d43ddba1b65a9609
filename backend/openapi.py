"""`python -m backend.openapi`: the shapes of the contract as JSON, for the types of the page."""

import json
import sys
from typing import Any

from backend.app import create_app


def shapes() -> dict[str, Any]:
    """Return the OpenAPI document without its paths: the page names addresses itself."""
    return {**create_app().openapi(), "paths": {}}


if __name__ == "__main__":
    json.dump(shapes(), sys.stdout)
