"""A video in, a performance out: watch the dancer, lift what is seen into space, solve the body's rotations."""
