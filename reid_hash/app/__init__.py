"""One use case a file or folder: what the commands of the command line do."""
