//! The log of one process: SQLite.
