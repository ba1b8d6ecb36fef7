//! Templates of the user, in the part of Go's language that people use with docker: `{{.Name}}`,
//! `{{.State.Pid}}`, `{{json .}}`, `{{index .Labels "key"}}`, `table {{.ID}}\t{{.Size}}`.

use serde_json::Value;

/// How rows are printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Layout {
    /// The command's own table.
    Table,
    /// One JSON object for each, a line each.
    Json,
    /// As the template says.
    Template(Template),
}

/// A template that was understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Template {
    /// Whether the lines are columns, with a header.
    table: bool,
    pieces: Vec<Piece>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Text(String),
    Field(Function, Vec<String>),
}

/// What is done with a field.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Function {
    Plain,
    Json,
    Upper,
    Lower,
}

/// `table`, `json`, or a template.
pub(crate) fn layout(text: &str) -> Result<Layout, String> {
    match text {
        "" | "table" => Ok(Layout::Table),
        "json" => Ok(Layout::Json),
        text => Template::new(text).map(Layout::Template),
    }
}

impl Template {
    /// Understands a template.
    pub(crate) fn new(text: &str) -> Result<Self, String> {
        let (table, text) = match text.strip_prefix("table ") {
            Some(rest) => (true, rest),
            None => (false, text),
        };
        let text = text.replace("\\t", "\t").replace("\\n", "\n");
        let mut pieces = Vec::new();
        let mut rest = text.as_str();
        while let Some((before, after)) = rest.split_once("{{") {
            pieces.push(Piece::Text(before.to_owned()));
            let (action, after) = after
                .split_once("}}")
                .ok_or_else(|| format!("`{text}`: a `{{{{` without a `}}}}`"))?;
            pieces.push(piece(action.trim_matches(['-', ' ']))?);
            rest = after;
        }
        pieces.push(Piece::Text(rest.to_owned()));
        if !pieces.iter().any(|piece| matches!(piece, Piece::Field(..))) {
            return Err(format!(
                "`{text}` is not a format: give table, json, or a template such as `{{{{.ID}}}}`"
            ));
        }
        Ok(Self { table, pieces })
    }

    /// The rows, each on a line of its own. A field that no row has is an error.
    pub(crate) fn render(&self, rows: &[Value]) -> Result<String, String> {
        let lines = rows.iter().map(|row| self.line(row)).collect::<Result<Vec<_>, _>>()?;
        if !self.table {
            return Ok(lines.iter().map(|line| format!("{line}\n")).collect());
        }
        let cells = |line: &String| line.split('\t').map(str::to_owned).collect::<Vec<_>>();
        let header = self.header();
        let header: Vec<&str> = header.split('\t').collect();
        Ok(super::table(&header, lines.iter().map(cells)))
    }

    fn line(&self, row: &Value) -> Result<String, String> {
        self.pieces.iter().map(|piece| piece.text(row)).collect()
    }

    /// The names of the fields as docker writes them above columns: `CreatedAt` is `CREATED AT`.
    fn header(&self) -> String {
        let name = |piece: &Piece| match piece {
            Piece::Text(text) => text.clone(),
            Piece::Field(_, path) => {
                let mut name = String::new();
                let mut before = ' ';
                for c in path.last().map(String::as_str).unwrap_or_default().chars() {
                    if c.is_uppercase() && before.is_lowercase() {
                        name.push(' ');
                    }
                    name.extend(c.to_uppercase());
                    before = c;
                }
                name
            }
        };
        self.pieces.iter().map(name).collect()
    }
}

fn piece(action: &str) -> Result<Piece, String> {
    let words: Vec<&str> = action.split_whitespace().collect();
    let unknown = || {
        format!(
            "`{{{{{action}}}}}` is not supported: there are fields (`.Name`), `json`, `upper`, `lower` \
             and `index`"
        )
    };
    match words.as_slice() {
        [field] => Ok(Piece::Field(Function::Plain, path(field).ok_or_else(unknown)?)),
        ["json", field] => Ok(Piece::Field(Function::Json, path(field).ok_or_else(unknown)?)),
        ["upper", field] => Ok(Piece::Field(Function::Upper, path(field).ok_or_else(unknown)?)),
        ["lower", field] => Ok(Piece::Field(Function::Lower, path(field).ok_or_else(unknown)?)),
        ["index", field, keys @ ..] if !keys.is_empty() => {
            let mut path = path(field).ok_or_else(unknown)?;
            for key in keys {
                path.push(key.trim_matches(['"', '`']).to_owned());
            }
            Ok(Piece::Field(Function::Plain, path))
        }
        _ => Err(unknown()),
    }
}

/// The names of `.A.B`; none of `.`.
fn path(field: &str) -> Option<Vec<String>> {
    let names = field.strip_prefix('.')?;
    let good = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.');
    if !names.chars().all(good) {
        return None;
    }
    Some(names.split('.').filter(|name| !name.is_empty()).map(str::to_owned).collect())
}

impl Piece {
    fn text(&self, row: &Value) -> Result<String, String> {
        let (function, path) = match self {
            Self::Text(text) => return Ok(text.clone()),
            Self::Field(function, path) => (function, path),
        };
        let value = find(row, path)?;
        Ok(match function {
            Function::Json => value.to_string(),
            Function::Plain => plain(value),
            Function::Upper => plain(value).to_uppercase(),
            Function::Lower => plain(value).to_lowercase(),
        })
    }
}

fn find<'a>(row: &'a Value, path: &[String]) -> Result<&'a Value, String> {
    const NOTHING: &Value = &Value::Null;
    let mut value = row;
    for (depth, name) in path.iter().enumerate() {
        value = match value {
            Value::Array(items) => name.parse().ok().and_then(|at: usize| items.get(at)),
            Value::Object(fields) => match fields.get(name) {
                // Maps of the user's own keys have no fixed fields.
                None if depth == 0 => {
                    let known: Vec<_> = fields.keys().map(String::as_str).collect();
                    return Err(format!(
                        "there is no field `.{name}`; there are {}",
                        known.join(", ")
                    ));
                }
                found => found,
            },
            _ => None,
        }
        .unwrap_or(NOTHING);
    }
    Ok(value)
}

fn plain(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => text.clone(),
        Value::Array(items) => items.iter().map(plain).collect::<Vec<_>>().join(","),
        Value::Object(fields) => {
            let pair = |(key, value): (&String, &Value)| format!("{key}={}", plain(value));
            fields.iter().map(pair).collect::<Vec<_>>().join(",")
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn check(template: &str, expected: &str) {
        let rows = [json!({
            "ID": "abc", "Size": 5, "CreatedAt": "now", "Labels": {"a.b": "c"},
            "Config": {"Cmd": ["sh", "-c"]}, "Nothing": null,
        })];
        let text = Template::new(template).unwrap().render(&rows).unwrap();
        assert_eq!(text, expected, "{template}");
    }

    #[test]
    fn fields_are_filled_in() {
        check("{{.ID}}: {{ .Size }}", "abc: 5\n");
        check("{{json .Config}}", "{\"Cmd\":[\"sh\",\"-c\"]}\n");
        check("{{.Config.Cmd}} {{index .Config.Cmd 1}}", "sh,-c -c\n");
        check("{{index .Labels \"a.b\"}}{{.Nothing}}", "c\n");
        check("{{upper .ID}}\\t{{.Labels}}", "ABC\ta.b=c\n");
    }

    #[test]
    fn a_table_has_a_header() {
        let rows = [json!({"ID": "abc", "CreatedAt": "now"})];
        let text = Template::new("table {{.ID}}\\t{{.CreatedAt}}").unwrap().render(&rows).unwrap();
        let lines: Vec<Vec<&str>> =
            text.lines().map(|line| line.split_whitespace().collect()).collect();
        assert_eq!(lines, [vec!["ID", "CREATED", "AT"], vec!["abc", "now"]]);
    }

    #[test]
    fn what_is_not_understood_is_named() {
        for template in ["{{.ID", "{{range .X}}", "plain", "{{ID}}", "{{json}}"] {
            Template::new(template).unwrap_err();
        }
        let template = Template::new("{{.Nix}}").unwrap();
        let error = template.render(&[json!({"ID": 1})]).unwrap_err();
        assert!(error.contains(".Nix") && error.contains("ID"), "{error}");
    }
}
