//! How plain words become values, by the rules of the YAML library that docker compose uses.
//!
//! `true` and `True` are booleans, `yes` and `on` are not; `017`, `0o17` and `0x0f` are fifteen;
//! `1_000` is a thousand; `1.10` is 1.1; dates stay text (docker compose fails on them in
//! environments, which helps nobody).

use super::Value;

/// The value of a plain scalar.
pub(crate) fn resolve(word: &str) -> Value {
    match word {
        "" | "~" | "null" | "Null" | "NULL" => return Value::Null,
        "true" | "True" | "TRUE" => return Value::Bool(true),
        "false" | "False" | "FALSE" => return Value::Bool(false),
        ".nan" | ".NaN" | ".NAN" => return Value::Float(f64::NAN),
        ".inf" | ".Inf" | ".INF" | "+.inf" | "+.Inf" | "+.INF" => {
            return Value::Float(f64::INFINITY);
        }
        "-.inf" | "-.Inf" | "-.INF" => return Value::Float(f64::NEG_INFINITY),
        _ => {}
    }
    match word.as_bytes().first() {
        Some(b'0'..=b'9' | b'+' | b'-' | b'.') => number(word),
        _ => None,
    }
    .unwrap_or_else(|| Value::Text(word.to_owned()))
}

fn number(word: &str) -> Option<Value> {
    let plain = word.replace('_', "");
    if !word.starts_with('.')
        && let Some(integer) = integer(&plain)
    {
        return Some(Value::Int(integer));
    }
    if is_float(&plain) {
        return plain.parse().ok().filter(|number: &f64| number.is_finite()).map(Value::Float);
    }
    None
}

fn integer(word: &str) -> Option<i128> {
    let (negative, digits) = match word.as_bytes().first()? {
        b'-' => (true, &word[1..]),
        b'+' => (false, &word[1..]),
        _ => (false, word),
    };
    let (radix, digits) = match digits.as_bytes() {
        [b'0', b'x' | b'X', ..] => (16, &digits[2..]),
        [b'0', b'o' | b'O', ..] => (8, &digits[2..]),
        [b'0', b'b' | b'B', ..] => (2, &digits[2..]),
        [b'0', _, ..] => (8, &digits[1..]),
        _ => (10, digits),
    };
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_alphanumeric()) {
        return None;
    }
    let number = i128::from(u64::from_str_radix(digits, radix).ok()?);
    if negative { (number <= 1 << 63).then_some(-number) } else { Some(number) }
}

/// `[-+]?(\.[0-9]+|[0-9]+(\.[0-9]*)?)([eE][-+]?[0-9]+)?`
fn is_float(word: &str) -> bool {
    let word = word.strip_prefix(['-', '+']).unwrap_or(word);
    let (mantissa, exponent) = match word.find(['e', 'E']) {
        Some(at) => (&word[..at], Some(&word[at + 1..])),
        None => (word, None),
    };
    let digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
    let mantissa_fits = match mantissa.split_once('.') {
        Some(("", fraction)) => !fraction.is_empty() && digits(fraction),
        Some((whole, fraction)) => digits(whole) && digits(fraction),
        None => !mantissa.is_empty() && digits(mantissa),
    };
    let exponent_fits = exponent.is_none_or(|exponent| {
        let exponent = exponent.strip_prefix(['-', '+']).unwrap_or(exponent);
        !exponent.is_empty() && digits(exponent)
    });
    mantissa_fits && exponent_fits
}

/// A number as Go prints it with `%v`: the shortest digits, with an exponent below 1e-4 and from
/// 1e6 on.
pub(crate) fn go_float(number: f64) -> String {
    if number.is_nan() {
        return "NaN".to_owned();
    }
    if number.is_infinite() {
        return if number > 0.0 { "+Inf" } else { "-Inf" }.to_owned();
    }
    let scientific = format!("{number:e}");
    let Some((mantissa, exponent)) = scientific.split_once('e') else { return scientific };
    let exponent: i32 = exponent.parse().unwrap_or(0);
    if number != 0.0 && !(-4..6).contains(&exponent) {
        let sign = if exponent < 0 { '-' } else { '+' };
        return format!("{mantissa}e{sign}{:02}", exponent.abs());
    }
    format!("{number}")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(word: &str, expected: Value) {
        assert_eq!(resolve(word), expected, "{word}");
    }

    #[test]
    fn words_become_values_by_the_rules_of_go_yaml() {
        for word in ["yes", "no", "on", "off", "y", "n", "22:22", "12:34:56", "2024-01-01", "1.2.3"]
        {
            check(word, Value::Text(word.to_owned()));
        }
        for word in ["089x", "0x", "-", "+", ".", "1e", "e1", "0xZZ", "--1", "+-1"] {
            check(word, Value::Text(word.to_owned()));
        }
        for (word, number) in
            [("017", 15), ("0o17", 15), ("0x1F", 31), ("0b11", 3), ("1_000", 1000), ("-5", -5)]
        {
            check(word, Value::Int(number));
        }
        check("+7", Value::Int(7));
        check("0", Value::Int(0));
        check("18446744073709551615", Value::Int(u64::MAX.into()));
        check("18446744073709551616", Value::Float(18446744073709551616.0));
        check("089", Value::Float(89.0));
        check("1.10", Value::Float(1.1));
        check("1e3", Value::Float(1000.0));
        check(".5", Value::Float(0.5));
        check("True", Value::Bool(true));
        check("tRue", Value::Text("tRue".to_owned()));
        check("~", Value::Null);
    }

    #[test]
    fn floats_print_as_in_go() {
        for (number, text) in [
            (1.1, "1.1"),
            (1000.0, "1000"),
            (100000000.0, "1e+08"),
            (0.0001, "0.0001"),
            (0.00001, "1e-05"),
            (-2.5, "-2.5"),
            (0.0, "0"),
        ] {
            assert_eq!(go_float(number), text);
        }
    }
}
