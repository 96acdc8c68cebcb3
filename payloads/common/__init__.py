"""What every payload shares: settings, command line, storage, tracking, errors."""
