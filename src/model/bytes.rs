//! Sizes: `64m`, `1.5 GiB`, `1024`.

/// Bytes; every unit is a power of 1024.
///
/// # Errors
/// If it is none, as a sentence.
pub fn parse_bytes(text: &str) -> Result<i64, String> {
    let bad = || format!("invalid size {text:?}");
    if text == "-1" {
        return Ok(-1);
    }
    let split = text.rfind(|c: char| c.is_ascii_digit() || c == '.' || c == ' ').ok_or_else(bad)?;
    let (number, suffix) = (&text[..=split], &text[split + 1..]);
    let number = number.strip_suffix(' ').unwrap_or(number);
    let fits = !number.is_empty()
        && number.bytes().all(|byte| byte.is_ascii_digit() || b".eE+".contains(&byte));
    let number: f64 = if fits { number.parse().map_err(|_| bad())? } else { return Err(bad()) };
    let factor = match suffix.to_ascii_lowercase().as_str() {
        "" | "b" => 1.0,
        "k" | "kb" | "kib" => 1024.0,
        "m" | "mb" | "mib" => 1024.0 * 1024.0,
        "g" | "gb" | "gib" => 1024.0 * 1024.0 * 1024.0,
        "t" | "tb" | "tib" => 1024.0 * 1024.0 * 1024.0 * 1024.0,
        "p" | "pb" | "pib" => 1024.0 * 1024.0 * 1024.0 * 1024.0 * 1024.0,
        _ => {
            return Err(format!("invalid size {text:?}: the unit must be one of b, k, m, g, t, p"));
        }
    };
    let bytes = number * factor;
    if bytes >= 9_223_372_036_854_775_807.0 {
        return Err(format!("invalid size {text:?}: too large"));
    }
    #[expect(
        clippy::cast_possible_truncation,
        reason = "in range, and parts of a byte are dropped"
    )]
    Ok(bytes as i64)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes_have_units_of_1024() {
        for (text, bytes) in [
            ("1024", 1024),
            ("64m", 64 << 20),
            ("64M", 64 << 20),
            ("1.5g", 3 << 29),
            ("1 GiB", 1 << 30),
            ("2kb", 2048),
            ("7b", 7),
            ("-1", -1),
            ("0", 0),
        ] {
            assert_eq!(parse_bytes(text), Ok(bytes), "{text}");
        }
        for text in ["", "m", "64M ", "1x", "1mib2", "-5", "1kbb", "1e400", "99999999p", "--1"] {
            assert!(parse_bytes(text).is_err(), "{text}");
        }
    }
}
