"""The weights of ``bars``, rounded, fitted as ``benchmarks/fit_bars.py`` does, to another draw of 260 songs.

The order of cues: onsets low, in the middle, high; new harmony.
"""

import numpy as np

# Of each cue on beats and between them.
ON = np.array([1.67, 4.11, 2.05, 0.78])
OFF = np.array([-0.84, -0.63, 0.81, -0.33])
# Of each cue on the places of the bar, by metre.
PLACES = {
    3: np.array(
        [
            [1.45, 2.44, -0.70, 0.77],
            [-0.85, -0.61, 0.35, -0.95],
            [-0.61, -1.83, 0.35, 0.17],
        ]
    ),
    4: np.array(
        [
            [1.71, 1.60, -1.53, 2.10],
            [-1.84, 0.23, 0.53, -1.23],
            [-0.39, -2.63, -0.12, -1.75],
            [0.52, 0.79, 1.11, 0.88],
        ]
    ),
}
# Of 1, the tempo in octaves from the middle one, and its square, by metre.
TEMPO = {
    3: np.array([0.61, 2.55, -1.44]),
    4: np.array([-0.61, 2.74, -2.78]),
}
# Of the likeness of beats 1, 2, 3, 4, 6 and 8 beats apart, by metre.
LIKENESS = {
    3: np.array([-0.46, -1.58, 1.16, -2.27, -0.89, -2.33]),
    4: np.array([2.46, 1.31, -0.75, 2.65, -1.79, 1.06]),
}
