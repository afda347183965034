"""Gives the channels of activations like sizes before they are quantized, by scales that weights take in: exact."""
