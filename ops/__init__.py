"""What people run beside `pulumi`: `python -m ops --help`."""
