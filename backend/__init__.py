"""The backend: audio, dance models, jobs, the server and the command line. Never imports bpy."""
