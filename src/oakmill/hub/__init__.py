"""What the three HTTP faces share: who asks, what they see, errors as answers, signed links, complete uploads."""
