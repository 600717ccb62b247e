"""Errors that reach the user: one sentence, with what to do."""


class StepsmithError(Exception):
    """Something the user can act on; its text is shown as it is."""


class MotionError(StepsmithError):
    """A motion, or a file that should hold one, that can't be used."""


class RigError(StepsmithError):
    """An armature that can't be danced on."""
