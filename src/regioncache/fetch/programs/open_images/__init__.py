"""Open Images through FiftyOne's downloader: ``python -P -m open_images``, with FiftyOne in the environment."""
