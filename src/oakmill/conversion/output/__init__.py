"""What a conversion leaves: archives, files in place, read back by the vendor's reader, compared."""
