"""Learned nucleus detectors whose weights the user mounts; nothing is shipped or downloaded."""
