"""Joints in space made a performance: rotations of one skeleton, upright, on the floor, with contacts."""

from .solve import solve_body

__all__ = ["solve_body"]
