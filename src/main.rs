//! The `offboard` binary: arguments → one subcommand → exit code.

use std::process::ExitCode;

use clap::Parser as _;

use offboard::cli::Cli;

fn main() -> ExitCode {
    let arguments = Cli::parse();
    match arguments.run() {
        Ok(answer) => ExitCode::from(answer.code()),
        Err(failure) => {
            if !failure.is_logged() {
                eprintln!("offboard: {failure:#}");
            }
            ExitCode::from(failure.code())
        }
    }
}
