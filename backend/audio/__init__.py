"""Songs: decoding, features, tempo, beats and bars. ``analyse`` is the way in."""

from .decode import AudioError, Sound, decode
from .music import CONTEXT, Music, analyse
from .spectrum import FEATURE_FPS, MEL_BANDS

__all__ = ["CONTEXT", "FEATURE_FPS", "MEL_BANDS", "AudioError", "Music", "Sound", "analyse", "decode"]
