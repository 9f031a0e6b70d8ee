//! `offboard completion`: shell completion.

use clap::{Args, CommandFactory as _, ValueEnum};
use clap_complete::aot::{Bash, Fish, Generator, Zsh};

use super::output::print;
use super::{Answer, Cli, Failure};

/// Print a shell completion script.
#[derive(Debug, Args)]
#[command(after_help = "Examples:\n  offboard completion bash >/etc/bash_completion.d/offboard\n  \
    offboard completion zsh >\"${fpath[1]}/_offboard\"\n  \
    offboard completion fish >~/.config/fish/completions/offboard.fish")]
pub(super) struct Completion {
    /// Shell to complete for
    #[arg(value_enum)]
    shell: Shell,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Shell {
    Bash,
    Zsh,
    Fish,
}

impl Completion {
    pub(super) fn run(self) -> Result<Answer, Failure> {
        let script = match self.shell {
            Shell::Bash => script(Bash),
            Shell::Zsh => script(Zsh),
            Shell::Fish => script(Fish),
        };
        print(&script)?;
        Ok(Answer::Yes)
    }
}

fn script(shell: impl Generator) -> String {
    let mut bytes = Vec::new();
    clap_complete::aot::generate(shell, &mut Cli::command(), "offboard", &mut bytes);
    String::from_utf8_lossy(&bytes).into_owned()
}
