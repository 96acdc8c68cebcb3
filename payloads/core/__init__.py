"""Ray Core alone: tasks over shards, an actor that many push to, one object that many read."""
