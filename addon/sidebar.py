"""Where all of the add-on's panels are."""


class Sidebar:
    """What every panel in the 3D view's sidebar has in common."""

    bl_space_type = "VIEW_3D"
    bl_region_type = "UI"
    bl_category = "Stepsmith"
