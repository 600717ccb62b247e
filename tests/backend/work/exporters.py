"""Stands where Blender does, and fails in the way its first argument after --song says."""

import os
import sys
from pathlib import Path

out = Path(sys.argv[sys.argv.index("--out") + 1])
out.write_bytes(b"half of it")
print('{"fraction": 0.5, "text": "Half way"}', flush=True)
print("Blender prints what it likes", flush=True)
how = Path(sys.argv[sys.argv.index("--song") + 1]).name
if how == "error":
    print('{"error": "The rig has no legs: choose another."}', flush=True)
    sys.exit(1)
if how == "crash":
    print("Segmentation fault in the renderer", file=sys.stderr, flush=True)
    os.abort()
