"""The add-on's preferences: where the backend is and where files go."""

from __future__ import annotations

import ipaddress
from pathlib import Path
from urllib.parse import urlsplit

import bpy
from bpy.props import EnumProperty, StringProperty

from .. import __package__ as base_package
from ..retarget.errors import StepsmithError
from .backend_process import INSTALL_COMMAND
from .client import Client
from .dance_task import Connection


class StepsmithPreferences(bpy.types.AddonPreferences):
    bl_idname = base_package

    place: EnumProperty(
        name="Backend",
        description="Where dances are made",
        items=[
            ("HERE", "This computer", "Start the backend as a program of its own when it is first needed"),
            (
                "URL",
                "Another computer",
                "Connect to a backend that runs elsewhere, say on a machine with a GPU",
            ),
        ],
    )
    command: StringProperty(
        name="Command",
        description="The stepsmith program: its name where it is on the PATH, or its file",
        default="stepsmith",
        subtype="FILE_PATH",
    )
    url: StringProperty(
        name="Address",
        description="Address of the backend on the other computer, as http://name:port",
    )
    token: StringProperty(
        name="Token",
        description="The secret the other backend was started with, in its environment variable STEPSMITH_TOKEN",
        subtype="PASSWORD",
    )
    folder: StringProperty(
        name="Data Folder",
        description="Where songs and dances are kept. Empty: the extension's own folder",
        subtype="DIR_PATH",
    )

    def draw(self, _context: bpy.types.Context) -> None:
        layout = self.layout
        layout.use_property_split = True
        layout.prop(self, "place")
        if self.place == "HERE":
            layout.prop(self, "command")
            box = layout.box()
            box.label(text="To install the backend, run this in a copy of Stepsmith's source:", icon="INFO")
            row = box.row()
            row.label(text=INSTALL_COMMAND)
            row.operator("stepsmith.copy_install_command", text="", icon="COPYDOWN")
        else:
            layout.prop(self, "url")
            layout.prop(self, "token")
            if self.url.startswith("http:") and not _is_local(urlsplit(self.url).hostname or "localhost"):
                layout.label(text="Token and songs travel unencrypted over http; https protects them", icon="ERROR")
        layout.prop(self, "folder")


class STEPSMITH_OT_copy_install_command(bpy.types.Operator):
    """Copy the command that installs the backend, to paste in a terminal"""

    bl_idname = "stepsmith.copy_install_command"
    bl_label = "Copy Install Command"

    def execute(self, context: bpy.types.Context) -> set[str]:
        context.window_manager.clipboard = INSTALL_COMMAND
        self.report({"INFO"}, "Copied: paste it in a terminal, in a copy of Stepsmith's source")
        return {"FINISHED"}


class STEPSMITH_OT_open_preferences(bpy.types.Operator):
    """Open Stepsmith's preferences: which backend to use, where files go"""

    bl_idname = "stepsmith.open_preferences"
    bl_label = "Stepsmith Preferences"
    bl_options = {"INTERNAL"}

    def execute(self, _context: bpy.types.Context) -> set[str]:
        return bpy.ops.preferences.addon_show(module=base_package)


def connection() -> Connection:
    """The backend the user chose. Raises StepsmithError where Blender may not go there."""
    chosen = _preferences()
    if chosen.place == "HERE":
        folder = data_folder()
        data = None if folder is None else folder / "backend"
        return Connection(command=bpy.path.abspath(chosen.command) or "stepsmith", data=data)
    if not chosen.url.strip():
        raise StepsmithError("No address of the other computer is set: enter it in the add-on's preferences.")
    host = Client(chosen.url.strip(), chosen.token).host
    if not _is_local(host) and not bpy.app.online_access:
        raise StepsmithError(
            f"Blender may not connect to {host}: switch on Allow Online Access in Preferences > System > Network."
        )
    return Connection(url=chosen.url.strip(), token=chosen.token)


def data_folder() -> Path | None:
    """Where this add-on keeps files, made when first needed.

    None where it is not installed as an extension and no folder is chosen.
    """
    folder = _preferences().folder
    if folder:
        return Path(bpy.path.abspath(folder))
    try:
        return Path(bpy.utils.extension_path_user(base_package))
    except ValueError:
        return None


def _preferences() -> StepsmithPreferences:
    return bpy.context.preferences.addons[base_package].preferences


def _is_local(host: str) -> bool:
    try:
        return host == "localhost" or ipaddress.ip_address(host).is_loopback
    except ValueError:
        return False
