"""Two readers: the same patches read blind by several people, compared, and adjudicated."""
