//! An ambiguous REF: each candidate as a command to run, because an incident must not stop at a name.

use tonic::Status;

use super::output::shown;
use crate::control::convert;
use crate::control::proto::Ambiguous;

/// The commands that say which candidate is meant, if the error is about an ambiguous REF; `arguments` are this command's.
pub(super) fn commands(status: &Status, arguments: impl Iterator<Item = String>) -> Option<String> {
    told(&convert::ambiguous(status)?, &arguments.collect::<Vec<_>>())
}

/// The same for an answer that says so; `arguments` are this command's.
pub(super) fn told(ambiguous: &Ambiguous, arguments: &[String]) -> Option<String> {
    let Ambiguous { reference, candidates } = ambiguous;
    let place = place(arguments, reference)?;
    let line = |arguments: &[String]| {
        format!("\n  {}", arguments.iter().map(|argument| quoted(argument)).collect::<Vec<_>>().join(" "))
    };
    let mut text = "; say which:".to_owned();
    for candidate in candidates {
        let mut arguments = arguments.to_vec();
        if let Some(argument) = arguments.get_mut(place) {
            *argument = argument.replacen(reference, candidate, 1);
        }
        text += &line(&arguments);
    }
    if arguments.get(1).is_some_and(|command| command == "revoke") {
        text += "\nor deny all of them:";
        text += &line(&[arguments, &["--all-candidates".to_owned()]].concat());
    }
    Some(text)
}

/// Which argument is the REF: not the value of another option that happens to say the same.
fn place(arguments: &[String], reference: &str) -> Option<usize> {
    let value = |argument: &str| argument.strip_prefix("--person=").unwrap_or(argument).trim() == reference;
    let mut before = "";
    for (index, argument) in arguments.iter().enumerate() {
        if index > 0 && value(argument) && (!before.starts_with('-') || before == "--person") {
            return Some(index);
        }
        before = argument;
    }
    None
}

/// An argument as a POSIX shell reads it.
fn quoted(argument: &str) -> String {
    let argument = shown(argument);
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"_@%+=:,./-".contains(&byte);
    if !argument.is_empty() && argument.bytes().all(plain) {
        return argument;
    }
    format!("'{}'", argument.replace('\'', "'\\''"))
}

#[cfg(test)]
mod tests {
    use tonic::Status;

    use super::*;
    use crate::control::convert::refused;
    use crate::domain::command::Refused;

    fn commands_of(line: &[&str], reference: &str) -> Option<String> {
        let candidates = ["hr/e 1", "hr/e2"].map(|id| id.parse().unwrap()).to_vec();
        let status = refused(&Refused::Ambiguous { reference: reference.into(), candidates });
        commands(&status, line.iter().map(|argument| (*argument).to_owned()))
    }

    #[test]
    fn each_candidate_is_a_command_to_run() {
        let line = ["offboard", "revoke", "--reason", "smith", "--person", "smith", "--server", "http://[::1]:9"];
        let told = "; say which:\n  \
            offboard revoke --reason smith --person 'hr/e 1' --server 'http://[::1]:9'\n  \
            offboard revoke --reason smith --person hr/e2 --server 'http://[::1]:9'\n\
            or deny all of them:\n  \
            offboard revoke --reason smith --person smith --server 'http://[::1]:9' --all-candidates";
        assert_eq!(commands_of(&line, "smith").as_deref(), Some(told));
        let told = "; say which:\n  offboard exempt --reason 'it'\\''s wrong' 'hr/e 1'\n  \
            offboard exempt --reason 'it'\\''s wrong' hr/e2";
        assert_eq!(
            commands_of(&["offboard", "exempt", "--reason", "it's wrong", "Smith"], "Smith").as_deref(),
            Some(told)
        );
        assert!(commands_of(&["o", "revoke", "--person=smith"], "smith").unwrap().contains("o revoke --person=hr/e2"));
        assert_eq!(commands_of(&["offboard", "watch"], "smith"), None);
        assert_eq!(commands(&Status::not_found("x"), std::iter::empty()), None);
    }
}
