"""What stands in the way: a model is looked at before it is converted, node by node."""
