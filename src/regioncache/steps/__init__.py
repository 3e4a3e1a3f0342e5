"""The steps of a build: each is one verb of the command line and one rule of the workflow."""
