"""Trained refinement of the linear embedding: masked autoencoder and boosted clustering. Off by default."""
