"""What every room may use: files, timestamps, seeds, signals, progress."""
