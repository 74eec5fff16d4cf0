"""Matrix products, and what a layer of neurons makes of them."""
