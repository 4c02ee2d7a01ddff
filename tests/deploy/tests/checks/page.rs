//! docs/OPERATIONS.md as blocks of commands.

use jackfield_system_tests::repository;

/// A block between fences.
pub(crate) struct Block {
    /// The nearest heading above it.
    pub(crate) heading: String,
    /// What its fence says, such as `sh service`.
    pub(crate) kind: String,
    /// Its lines.
    pub(crate) text: String,
}

/// All blocks of the page, in its order.
pub(crate) fn blocks() -> Vec<Block> {
    let page = std::fs::read_to_string(repository().join("docs/OPERATIONS.md")).unwrap();
    let mut found: Vec<Block> = Vec::new();
    let (mut heading, mut within) = (String::new(), false);
    for line in page.lines() {
        if let Some(kind) = line.strip_prefix("```") {
            within = !within;
            if within {
                found.push(Block {
                    heading: heading.clone(),
                    kind: kind.to_owned(),
                    text: String::new(),
                });
            }
        } else if within {
            let block = found.last_mut().unwrap();
            block.text.push_str(line);
            block.text.push('\n');
        } else if line.starts_with('#') {
            heading = line.trim_start_matches(['#', ' ']).to_owned();
        }
    }
    assert!(!within, "a fence is left open");
    found
}

/// What makes a block stop at the first command that fails.
const GUARD: [&str; 3] = ["(", "set -e", ")"];

/// The commands of all blocks of a kind, without comments, one a line.
pub(crate) fn commands(kind: &str) -> Vec<String> {
    let of_kind = blocks().into_iter().filter(|block| block.kind == kind);
    let text: String = of_kind.map(|block| block.text).collect();
    let text = text.replace("\\\n", " ").replace(" |\n", "\n");
    let lines = text.lines().map(|line| {
        let command = line.split(" #").next().unwrap_or_default();
        command.trim().to_owned()
    });
    lines
        .filter(|line| !line.is_empty() && !GUARD.contains(&line.as_str()))
        .collect()
}
