"""Numbers as whole ones of 8 bits, and products and convolutions of these."""
