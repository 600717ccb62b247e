"""What can be measured of a motion: the field's figures, and where joints and hands may be.

Who makes motions measures them by the same figures as who judges them, so they stand below both.
"""
