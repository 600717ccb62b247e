"""The Blender side: panel, operators, client of the backend, keys, scene, headless command.

Importing this package loads none of it, so that its rooms can be used one by one; ``register`` does.
"""

from __future__ import annotations


def register() -> None:
    """Add everything to Blender."""
    from . import registration

    registration.register()


def unregister() -> None:
    """Take everything out again and end the backend."""
    from . import registration

    registration.unregister()
