"""Joints in space made a performance: rotations of one skeleton, upright, on the floor, with contacts."""
