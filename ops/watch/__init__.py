"""One run, live: how far it is, how long it takes, what it runs on and what it costs."""
