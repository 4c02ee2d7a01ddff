//! Tables for people: columns under capitals, nothing between them but space.

use comfy_table::{CellAlignment, Table, presets::NOTHING};

/// A column's title, and whether it holds numbers.
#[derive(Debug, Clone, Copy)]
pub(super) enum Column {
    /// From the left.
    Text(&'static str),
    /// To the right.
    Number(&'static str),
}

/// Lays rows out. They have as many cells as there are columns.
pub(super) fn table(columns: &[Column], rows: &[Vec<String>]) -> String {
    let mut table = Table::new();
    table.load_style(NOTHING);
    table.set_header(columns.iter().map(|column| match column {
        Column::Text(title) | Column::Number(title) => title.to_uppercase(),
    }));
    for row in rows {
        table.add_row(row);
    }
    for (at, column) in columns.iter().enumerate() {
        if let (Column::Number(_), Some(column)) = (column, table.column_mut(at)) {
            column.set_cell_alignment(CellAlignment::Right);
        }
    }
    // Ends of lines are of no use to who pipes them.
    let lines: Vec<String> = table
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect();
    lines.join("\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_stand_to_the_right_and_no_line_ends_in_space() {
        let columns = [
            Column::Text("name"),
            Column::Number("lag"),
            Column::Text("note"),
        ];
        let rows = [
            vec!["a".to_owned(), "12,345".to_owned(), String::new()],
            vec!["longer".to_owned(), "7".to_owned(), "x".to_owned()],
        ];
        assert_eq!(
            table(&columns, &rows),
            " NAME       LAG  NOTE\n a       12,345\n longer       7  x"
        );
    }
}
