"""Stepsmith: 3D characters dance to any song, in Blender, on the command line, on your own rig."""

__version__ = "0.1.0"


def register() -> None:
    """Called by Blender when the extension is switched on."""
    from . import addon

    addon.register()


def unregister() -> None:
    """Called by Blender when the extension is switched off."""
    from . import addon

    addon.unregister()
