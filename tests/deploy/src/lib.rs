//! The tests are in `tests/`: what `deploy/` holds is valid, and works with the real programs where
//! they can be had.
