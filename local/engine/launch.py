"""Runs one engine plugin of this checkout as a module, whatever directory the engine starts it in.

PYTHONPATH is not used for this: it would leak into the programs that the language host starts.
"""

from __future__ import annotations

import runpy
import sys
from pathlib import Path

if __name__ == "__main__":
    sys.path[0] = str(Path(__file__).resolve().parents[2])
    module = sys.argv.pop(1)
    runpy.run_module(module, run_name="__main__", alter_sys=True)
