//! A command line as words, without a shell: quotes and backslashes, no variables, no patterns.

/// The words of a line. It ends at `;`, `&`, `|`, `<` or `>`, as docker compose reads it.
pub(crate) fn split_words(line: &str) -> Result<Vec<String>, String> {
    let bad = || format!("invalid command line {line:?}: a quote or bracket is not closed");
    let mut state = State::default();
    let mut words = Vec::new();
    for c in line.chars() {
        if state.escaped {
            state.word.push(match c {
                't' => '\t',
                'n' => '\n',
                c => c,
            });
            state.escaped = false;
            state.has_word = true;
            continue;
        }
        match c {
            '\\' if !state.single => {
                state.escaped = true;
                continue;
            }
            ' ' | '\t' | '\r' | '\n' => {
                if state.quoted() {
                    state.word.push(c);
                } else if state.has_word {
                    words.push(std::mem::take(&mut state.word));
                    state.has_word = false;
                }
                continue;
            }
            '`' if !(state.single || state.double || state.bracket) => state.back = !state.back,
            ')' if !(state.single || state.double || state.back) => state.bracket = !state.bracket,
            '(' if !(state.single || state.double || state.back) => {
                if state.bracket || !state.word.ends_with('$') {
                    return Err(format!("invalid command line {line:?}: a bracket outside quotes"));
                }
                state.bracket = true;
                state.word.push('(');
                continue;
            }
            '"' if !(state.single || state.bracket) => {
                state.has_word |= state.double;
                state.double = !state.double;
                continue;
            }
            '\'' if !(state.double || state.bracket) => {
                state.has_word |= state.single;
                state.single = !state.single;
                continue;
            }
            ';' | '&' | '|' | '<' | '>' if !state.quoted() => {
                if c == '>' && state.word.starts_with(|c: char| c.is_ascii_digit()) {
                    state.has_word = false;
                }
                break;
            }
            _ => {}
        }
        state.has_word = true;
        state.word.push(c);
    }
    if state.has_word {
        words.push(state.word.clone());
    }
    if state.escaped || state.quoted() { Err(bad()) } else { Ok(words) }
}

#[derive(Debug, Default)]
struct State {
    word: String,
    has_word: bool,
    escaped: bool,
    single: bool,
    double: bool,
    back: bool,
    bracket: bool,
}

impl State {
    fn quoted(&self) -> bool {
        self.single || self.double || self.back || self.bracket
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_are_split_as_docker_compose_does() {
        let check = |line: &str, words: &[&str]| {
            assert_eq!(split_words(line).unwrap(), words, "{line}");
        };
        check("a b  c", &["a", "b", "c"]);
        check("sh -c 'echo \"x  y\"'", &["sh", "-c", "echo \"x  y\""]);
        check("a\\ b \"\" ''", &["a b", "", ""]);
        check("echo $HOME *", &["echo", "$HOME", "*"]);
        check("a; b", &["a"]);
        check("a && b", &["a"]);
        check("a | b", &["a"]);
        check("", &[]);
        check("  ", &[]);
        for line in ["'a", "\"a", "a\\", "(a)", "a )"] {
            assert!(split_words(line).is_err(), "{line}");
        }
    }
}
