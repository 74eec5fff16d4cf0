"""Elementary functions: sigmoid, tanh, softplus and the error function, accurate to 4 units in the last place."""
