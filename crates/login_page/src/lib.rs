//! The page on which people log in.
