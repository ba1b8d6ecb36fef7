//! "Did you mean": the known word nearest to a wrong one.

/// The nearest of some words, if one is near enough.
pub(crate) fn suggest<'a>(word: &str, known: &[&'a str]) -> Option<&'a str> {
    if word.len() > 64 {
        return None;
    }
    let wanted = simple(word);
    let allowed = (wanted.chars().count() / 3).clamp(1, 3);
    known
        .iter()
        .map(|name| (distance(&wanted, &simple(name)), *name))
        .filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, name)| name)
}

/// Lower case, without the marks between words.
fn simple(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-' | '.')).flat_map(char::to_lowercase).collect()
}

/// The number of insertions, removals, replacements and swaps of neighbours between two words.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let mut rows = vec![(0..=b.len()).collect::<Vec<usize>>()];
    for i in 1..=a.len() {
        let mut row = vec![i; b.len() + 1];
        for j in 1..=b.len() {
            let replaced = rows[i - 1][j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = replaced.min(rows[i - 1][j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(rows[i - 2][j - 2] + 1);
            }
            row[j] = best;
        }
        rows.push(row);
    }
    rows[a.len()][b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn near_words_are_found_and_far_ones_are_not() {
        let known = ["image", "ports", "environment", "depends_on", "healthcheck"];
        for (word, name) in [
            ("imgae", "image"),
            ("port", "ports"),
            ("enviroment", "environment"),
            ("dependsOn", "depends_on"),
            ("health_check", "healthcheck"),
        ] {
            assert_eq!(suggest(word, &known), Some(name));
        }
        assert_eq!(suggest("zzz", &known), None);
        assert_eq!(suggest("", &known), None);
    }
}
