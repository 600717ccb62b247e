"""Songs: decoding, features, tempo, beats and bars. ``analyse`` is the way in."""

from .beats import Song
from .decode import AudioError, Sound, decode
from .music import CONTEXT, Music, analyse
from .spectrum import FEATURE_FPS, MEL_BANDS

__all__ = ["CONTEXT", "FEATURE_FPS", "MEL_BANDS", "AudioError", "Music", "Song", "Sound", "analyse", "decode"]
