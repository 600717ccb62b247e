"""Folders of dance videos made data to train on."""
