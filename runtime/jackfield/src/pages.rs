//! Pages that are made of the command line itself: completions, the manual, docs/CLI.md.

use crate::cli::Cli;
use crate::exit::Exit;
use crate::start_error::StartError;
use clap::CommandFactory;
use clap_complete::Shell;
use std::io::Write;
use std::path::Path;

/// The program's name, whatever it was started as.
const NAME: &str = "jackfield";

/// Prints completions for a shell.
pub(crate) fn completions(shell: Shell) -> Exit {
    let mut text = Vec::new();
    clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
    print(&text)
}

/// Prints the manual page, or writes one for each command.
pub(crate) fn man(dir: Option<&Path>) -> Result<Exit, StartError> {
    if let Some(dir) = dir {
        std::fs::create_dir_all(dir).map_err(StartError::Pages)?;
        clap_mangen::generate_to(Cli::command(), dir).map_err(StartError::Pages)?;
        return Ok(Exit::Clean);
    }
    let mut page = Vec::new();
    let man = clap_mangen::Man::new(Cli::command());
    man.render(&mut page).map_err(StartError::Pages)?;
    Ok(print(&page))
}

fn print(text: &[u8]) -> Exit {
    let mut out = std::io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Ok(()) => Exit::Clean,
        // Nobody reads it any more.
        Err(_) => Exit::Failed,
    }
}

#[cfg(test)]
#[allow(clippy::unwrap_used)]
mod tests {
    use super::*;
    use crate::exit::EXITS;
    use clap::{Arg, Command};
    use std::fmt::Write as _;

    const HEAD: &str = include_str!("pages_head.md");
    /// What a table's cell must not hold.
    fn cell(text: &str) -> String {
        text.replace('|', "\\|").replace('\n', " ")
    }

    /// docs/CLI.md: what was written by hand, and every command as it describes itself.
    fn page() -> String {
        let mut page = HEAD.to_owned();
        page.push_str("\n## Exit codes\n\n| code | meaning |\n|---|---|\n");
        for (exit, meaning) in EXITS {
            let _ = writeln!(page, "| {} | {meaning} |", exit.code());
        }
        page.push_str("| 10 to 27 | a swap was refused: [HOT-SWAP.md](HOT-SWAP.md) has each |\n");
        page.push_str("\n## Commands\n");
        let mut root = Cli::command();
        root.build();
        for command in root.get_subcommands().filter(|it| it.get_name() != "help") {
            section(&mut page, command, NAME);
        }
        page
    }

    fn section(page: &mut String, command: &Command, parent: &str) {
        let name = format!("{parent} {}", command.get_name());
        let about = command.get_long_about().or_else(|| command.get_about());
        let about = about.map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "\n### `{name}`\n\n{about}\n");
        let arguments: Vec<&Arg> = command
            .get_arguments()
            .filter(|it| !it.is_hide_set() && !matches!(it.get_id().as_str(), "help" | "version"))
            .collect();
        if !arguments.is_empty() {
            page.push_str("\n| argument | left out | what it is |\n|---|---|---|\n");
        }
        for argument in arguments {
            let _ = writeln!(page, "{}", row(argument));
        }
        for deeper in command
            .get_subcommands()
            .filter(|it| it.get_name() != "help")
        {
            section(page, deeper, &name);
        }
    }

    fn row(argument: &Arg) -> String {
        let takes = argument.get_action().takes_values();
        let value = argument.get_value_names().map(|names| names[0].to_string());
        let value = value.unwrap_or_else(|| argument.get_id().to_string().to_uppercase());
        let mut shown = match (argument.get_long(), argument.get_short()) {
            (Some(long), Some(short)) => format!("-{short}, --{long}"),
            (Some(long), None) => format!("--{long}"),
            (None, _) => value.clone(),
        };
        if takes && argument.get_long().is_some() {
            shown += &format!(" {value}");
        }
        let default = argument.get_default_values();
        let left_out = match (default.first(), argument.get_env()) {
            (Some(default), _) if takes => format!("`{}`", default.to_string_lossy()),
            (_, Some(variable)) => format!("`${}`", variable.to_string_lossy()),
            _ if argument.is_required_set() => "**required**".to_owned(),
            _ => String::new(),
        };
        let mut help = argument
            .get_help()
            .map(ToString::to_string)
            .unwrap_or_default();
        let words: Vec<String> = argument
            .get_possible_values()
            .iter()
            .map(|it| format!("`{}`", it.get_name()))
            .collect();
        if takes && !words.is_empty() {
            help += &format!(": {}", words.join(", "));
        }
        format!("| `{}` | {left_out} | {} |", cell(&shown), cell(&help))
    }

    /// `UPDATE_DOCS=1` rewrites it.
    #[test]
    fn the_page_is_up_to_date() {
        let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../docs/CLI.md");
        let page = page();
        if std::env::var_os("UPDATE_DOCS").is_some() {
            std::fs::write(&file, &page).unwrap();
        }
        let written = std::fs::read_to_string(&file).unwrap_or_default();
        assert!(
            written == page,
            "UPDATE_DOCS=1 cargo test -p jackfield the_page_is_up_to_date rewrites {}",
            file.display()
        );
    }

    #[test]
    fn the_command_line_is_sound() {
        Cli::command().debug_assert();
    }

    #[test]
    fn each_command_has_completions_and_a_manual_page() {
        let dir = tempfile::tempdir().unwrap();
        man(Some(dir.path())).unwrap();
        let names: Vec<String> = Cli::command()
            .get_subcommands()
            .map(|it| it.get_name().to_owned())
            .collect();
        for name in &names {
            assert!(
                dir.path().join(format!("jackfield-{name}.1")).exists(),
                "{name}"
            );
        }
        for shell in [Shell::Bash, Shell::Zsh, Shell::Fish] {
            let mut text = Vec::new();
            clap_complete::generate(shell, &mut Cli::command(), NAME, &mut text);
            let text = String::from_utf8(text).unwrap();
            for name in &names {
                assert!(text.contains(name.as_str()), "{shell}: {name}");
            }
        }
    }

    #[test]
    fn no_two_ends_have_one_code() {
        let mut codes: Vec<u8> = EXITS.iter().map(|(exit, _)| exit.code()).collect();
        codes.dedup();
        assert_eq!(codes.len(), EXITS.len());
        assert!(codes.is_sorted());
    }
}
