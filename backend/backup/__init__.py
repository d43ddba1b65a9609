"""Backups: an installation as a folder, and a folder as an installation."""
