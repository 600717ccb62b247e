"""The baselines of the field: small systems trained on the same dances, behind the same interface as the model.

``load_baselines`` gives every trained one in a folder, ready to dance.
"""

from .systems import Baseline, load_baselines

__all__ = ["Baseline", "load_baselines"]
