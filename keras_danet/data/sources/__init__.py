"""Where the published data sets keep their files, one official layout per file."""
