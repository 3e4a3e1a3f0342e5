"""Archives from mirrors to verified files: downloads that resume, local files that are linked, never unpacked."""
