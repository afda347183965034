"""What speaks to the places that models are imported from: their own libraries, each in an environment of its own."""
