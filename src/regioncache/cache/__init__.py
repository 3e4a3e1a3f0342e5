"""The cache on disk: its files, how they are written, addressed in place, and checked."""
