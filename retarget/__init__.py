"""Motion and rigs: numpy alone, so that it runs inside Blender and in the backend alike."""
