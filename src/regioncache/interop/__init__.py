"""Caches for other programs: files that they read, and samples in their forms."""
