"""Oakmill turns trained models into what OAK cameras run, and proves what the conversion did to accuracy."""

__version__ = "0.1.0"
