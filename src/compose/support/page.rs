//! The support table as text for `docs/compose.md`.

use super::{Entry, deploy_table, service_table, top_table};

/// The generated part of `docs/compose.md`: three tables in Markdown.
pub fn support_page() -> String {
    let mut page = String::new();
    for (title, prefix, table) in [
        ("Top level", "", top_table()),
        ("Services", "", service_table()),
        ("`deploy`", "deploy.", deploy_table()),
    ] {
        page.push_str("### ");
        page.push_str(title);
        page.push_str("\n\n| attribute | supported | note |\n| --- | --- | --- |\n");
        for Entry { name, support, note } in table {
            let note = note.replace('|', "\\|");
            let line = [prefix, name, "` | ", support.as_str(), " | ", &note].concat();
            page.push_str("| `");
            page.push_str(&line);
            page.push_str(" |\n");
        }
        page.push('\n');
    }
    page
}
