//! Tables as docker draws them: no lines, three blanks between columns.

use comfy_table::{ContentArrangement, Table, presets};

/// A table with a header; each line ends with a line end.
pub(crate) fn table<R>(header: &[&str], rows: impl IntoIterator<Item = R>) -> String
where
    R: IntoIterator<Item = String>,
{
    let mut table = Table::new();
    table.load_style(presets::NOTHING).set_content_arrangement(ContentArrangement::Disabled);
    table.set_header(header.iter().map(|title| (*title).to_owned()).collect::<Vec<_>>());
    for row in rows {
        // A cell with line ends would break the row.
        table.add_row(
            row.into_iter().map(|cell| cell.replace(['\n', '\r'], " ")).collect::<Vec<_>>(),
        );
    }
    for column in table.column_iter_mut() {
        column.set_padding((0, 3));
    }
    table.lines().map(|line| format!("{}\n", line.trim_end())).collect()
}
