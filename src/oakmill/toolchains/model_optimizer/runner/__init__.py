"""The Model Optimizer's side: runs in its own interpreter, Python 3.8 and later."""
