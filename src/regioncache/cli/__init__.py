"""The command line: one verb per rule of the workflow, and verbs to look at a cache."""
