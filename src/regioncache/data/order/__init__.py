"""Orders as pure functions: sizes, weights, seed and epoch in, numpy arrays of indices out; no state, no clock, no worker."""
