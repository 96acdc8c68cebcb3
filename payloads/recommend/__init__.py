"""A recommender: made interactions, two towers for retrieval, a ranker, and the gate before they are served."""
