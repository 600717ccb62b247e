"""Where the points seen in a picture are in space: a temporal convolutional network, its cameras and training."""
