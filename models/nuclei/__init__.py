"""Networks that find nuclei: the one that comes with Membrana, and those that a user mounts."""
