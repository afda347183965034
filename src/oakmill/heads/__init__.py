"""What outputs mean: families of heads, how they are recognised, and decoders that turn tensors into boxes."""
