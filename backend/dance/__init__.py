"""The dance model: ``generate`` makes a Motion for a Music."""
