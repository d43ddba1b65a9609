"""OpenVINO, imported so that it stays silent about whom it serves."""

import sys
from importlib import import_module
from types import ModuleType
from typing import cast


def openvino_library() -> ModuleType:
    """Import OpenVINO, which never learns that its telemetry might be installed.

    That package reports each conversion to its makers; without it OpenVINO stays silent. Slides
    are people's: nothing here tells anyone anything, whatever else is in the environment.
    Raises ImportError.
    """
    sys.modules["openvino_telemetry"] = cast("ModuleType", None)
    return import_module("openvino")
