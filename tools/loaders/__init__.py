"""Loading data into the library, one module for each kind of data: what it is made of, and how it is read."""
