//! Numbers that lose digits: `VERSION: 1.10` means 1.1, which nobody wants.

use super::diagnostic::{Problems, Sources};
use super::load::members;
use super::tree::{Node, Path, Value, go_float};

/// Warns of numbers with a fraction that are used as text and would be written otherwise.
pub(crate) fn warn_of_changed_numbers(root: &Node, sources: &Sources, problems: &mut Problems) {
    let services = Path::ROOT.key("services");
    for (name, service) in members(root, "services") {
        let path = services.key(name);
        for list in ["environment", "labels", "annotations", "sysctls"] {
            let path = path.key(list);
            for (key, node) in members(service, list) {
                let Value::Float(number) = node.value else { continue };
                let Some(rest) = sources.rest_of_line(node.mark) else { continue };
                let end = rest.find([',', '}', ']', ' ', '\t', '#']).unwrap_or(rest.len());
                let (written, text) = (&rest[..end], go_float(number));
                if written != text && written.starts_with(|c: char| c.is_ascii_digit() || c == '.')
                {
                    let message = format!("{written} is a number and becomes {text:?}");
                    problems
                        .warning(node.mark, &path.key(key), message)
                        .hint(format!("write \"{written}\" in quotes"));
                }
            }
        }
    }
}
