"""Statistics: arrays and tables in, numbers out. No I/O, no clock; randomness has a seed."""
