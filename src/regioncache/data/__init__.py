"""The training side: datasets that read a cache in place, and collators."""
