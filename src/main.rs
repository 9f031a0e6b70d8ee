//! The `offboard` binary: arguments → one subcommand → exit code.

fn main() {}
