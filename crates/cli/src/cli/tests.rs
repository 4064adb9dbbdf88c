//! What the book tells people to type.

use clap::Parser as _;

use super::*;

const PAGES: [(&str, &str); 2] = [
    ("tasks.md", include_str!("../../../../docs/book/tasks.md")),
    ("assets.md", include_str!("../../../../docs/book/assets.md")),
];

/// An address that stands for anybody's.
const ACCOUNT: &str = "5GrwvaEF5zXb26Fz9rcQpDWS57CtERHpNehXCPcNoHGKutQY";

/// The commands of ours in a page, from its blocks for the shell and from its text.
fn commands(page: &str) -> Vec<String> {
    let mut found = Vec::new();
    let mut block = None;
    for line in page.lines() {
        match (line.strip_prefix("```"), block) {
            (Some(language), None) => block = Some(language),
            (Some(_), Some(_)) => block = None,
            (None, Some("sh")) => {
                let command = line.split(" #").next().unwrap_or_default();
                let command = command.strip_prefix("image=$(").unwrap_or(command);
                found.extend(command.starts_with("casemate ").then(|| command.to_owned()));
            }
            (None, Some(_)) => (),
            (None, None) => {
                let quoted = line.split('`').skip(1).step_by(2);
                found
                    .extend(quoted.filter(|text| text.starts_with("casemate ")).map(str::to_owned));
            }
        }
    }
    found
}

/// Words as a shell takes them; nothing in the book needs more than single quotes.
fn words(command: &str) -> Vec<String> {
    let place = |word: &str| match word {
        "ACCOUNT" => ACCOUNT.to_owned(),
        "TASK" | "LEASE" | "$task" => "1".to_owned(),
        word => word.to_owned(),
    };
    let mut words = Vec::new();
    for (at, part) in command.split('\'').enumerate() {
        if at % 2 == 1 {
            words.push(part.to_owned());
        } else {
            words.extend(part.trim_end_matches(')').split_whitespace().map(place));
        }
    }
    words
}

#[test]
fn every_command_of_the_pages_on_tasks_and_assets_exists() {
    for (name, page) in PAGES {
        let commands = commands(page);
        assert!(commands.len() > 10, "{name}: {commands:?}");
        for command in commands {
            let parsed = Cli::try_parse_from(words(&command));
            // A command that is named only is shown with its help where it needs more.
            let is_named = || {
                let mut help = words(&command);
                help.push("--help".to_owned());
                let shown = Cli::try_parse_from(help).map_err(|error| error.kind());
                matches!(shown, Err(clap::error::ErrorKind::DisplayHelp))
                    && words(&command).len() <= 3
            };
            assert!(parsed.is_ok() || is_named(), "{name}: {command}: {parsed:?}");
        }
    }
}
