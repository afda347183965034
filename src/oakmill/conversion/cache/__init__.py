"""What was made before is not made again: whole conversions and single stages, by content."""
