"""What runs on Ray: data preparation, training and serving.

Nothing here imports the infrastructure program; the two meet in environment variables (`common/settings.py`),
command-line flags and the lines a training driver prints (`common/reporting.py`).
"""
