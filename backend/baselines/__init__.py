"""The baselines of the field: small systems trained on the same dances, behind the same interface as the model.

``systems.load_baselines`` gives every trained one in a folder, ready to dance.
"""
