//! The keys that leave a program alone.

use std::str::FromStr;

/// Docker's own.
pub(in crate::cli) const DETACH_KEYS: &str = "ctrl-p,ctrl-q";

/// A series of keys, and how much of it has been pressed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::cli) struct DetachKeys {
    keys: Vec<u8>,
    pressed: usize,
}

/// What becomes of keys that were pressed.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// These go to the program. Those that may be the beginning of the series are kept back.
    On(Vec<u8>),
    /// The series is whole.
    Detached,
}

impl FromStr for DetachKeys {
    type Err = String;

    /// Reads `ctrl-p,ctrl-q` or `a,b`; nothing at all means that there are no such keys.
    fn from_str(text: &str) -> Result<Self, String> {
        let wrong = |key: &str| {
            format!(
                "`{key}` is not a key: use a letter, or ctrl- with a letter or one of @ [ \\ ] ^ _"
            )
        };
        let keys = text.split(',').filter(|_| !text.is_empty());
        let keys = keys.map(|key| byte_of(key).ok_or_else(|| wrong(key)));
        Ok(Self { keys: keys.collect::<Result<_, _>>()?, pressed: 0 })
    }
}

fn byte_of(key: &str) -> Option<u8> {
    let single = |text: &str| match text.as_bytes() {
        [byte] if byte.is_ascii_graphic() => Some(*byte),
        _ => None,
    };
    match key.strip_prefix("ctrl-") {
        Some(rest) => match single(rest)? {
            letter @ b'a'..=b'z' => Some(letter - b'a' + 1),
            sign @ (b'@' | b'['..=b'_') => Some(sign - b'@'),
            _ => None,
        },
        None => single(key),
    }
}

impl DetachKeys {
    /// Looks at keys on their way to the program.
    pub(super) fn pass(&mut self, pressed: &[u8]) -> Passed {
        let mut on = Vec::with_capacity(pressed.len());
        for byte in pressed {
            if self.keys.get(self.pressed) == Some(byte) {
                self.pressed += 1;
                if self.pressed == self.keys.len() {
                    self.pressed = 0;
                    return Passed::Detached;
                }
                continue;
            }
            // It was something else: what was kept back belongs to the program.
            on.extend_from_slice(&self.keys[..self.pressed]);
            self.pressed = usize::from(self.keys.first() == Some(byte));
            if self.pressed == 0 {
                on.push(*byte);
            }
        }
        Passed::On(on)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pass(keys: &mut DetachKeys, text: &str) -> String {
        match keys.pass(text.as_bytes()) {
            Passed::On(bytes) => String::from_utf8(bytes).unwrap(),
            Passed::Detached => "detached".to_owned(),
        }
    }

    #[test]
    fn only_the_whole_series_detaches() {
        let mut keys: DetachKeys = DETACH_KEYS.parse().unwrap();
        assert_eq!(pass(&mut keys, "ls\n"), "ls\n");
        assert_eq!(pass(&mut keys, "\x10"), "", "it may be the beginning");
        assert_eq!(pass(&mut keys, "x"), "\x10x", "it was not");
        assert_eq!(pass(&mut keys, "\x10\x10"), "\x10");
        assert_eq!(pass(&mut keys, "\x11"), "detached");
    }

    #[test]
    fn keys_are_letters_and_controls() {
        let mut keys: DetachKeys = "a,ctrl-@,ctrl-]".parse().unwrap();
        assert_eq!(pass(&mut keys, "a\0\x1d"), "detached");
        let mut none: DetachKeys = "".parse().unwrap();
        assert_eq!(pass(&mut none, "anything"), "anything");
        for wrong in ["ctrl-", "ctrl-1", "ab", ",", "a,"] {
            assert!(wrong.parse::<DetachKeys>().is_err(), "{wrong}");
        }
    }
}
