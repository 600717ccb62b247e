"""Adds the bone map's interface to Blender and takes it out again."""

from __future__ import annotations

from .storage import register_storage, unregister_storage


def register() -> None:
    """Add everything of this package to Blender."""
    register_storage()


def unregister() -> None:
    """Take everything of this package out again."""
    unregister_storage()
