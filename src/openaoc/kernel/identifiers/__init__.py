"""One file per kind of identifier: normalise, validate, mask."""
