"""Where the points seen in a picture are in space: a temporal convolutional network, its cameras and training."""

from pathlib import Path

# The weights that come with Stepsmith.
WEIGHTS = Path(__file__).parent / "weights" / "lifter.safetensors"
