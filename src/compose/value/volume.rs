//! The short form of mounts: `[source:]target[:options]`.

/// A mount in short form.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct ShortVolume {
    /// A path (starting with `.`, `/` or `~`) or a volume's name; empty for a volume without one.
    pub(crate) source: String,
    /// The path in the container, cleaned.
    pub(crate) target: String,
    /// `ro`.
    pub(crate) read_only: bool,
    /// `nocopy`.
    pub(crate) nocopy: bool,
    /// `rprivate` and its like.
    pub(crate) propagation: Option<String>,
    /// `z` or `Z`.
    pub(crate) selinux: Option<String>,
    /// At most two characters: docker compose takes a path of its own for these.
    pub(crate) is_short: bool,
}

impl ShortVolume {
    /// Whether the source is a path.
    pub(crate) fn is_bind(&self) -> bool {
        self.source.starts_with(['.', '/', '~']) || self.source.starts_with("\\\\")
    }
}

/// Reads the short form. Options that are not known are passed over, as docker compose does.
///
/// A name of one letter is a volume here; docker compose takes it for a drive of Windows.
pub(crate) fn parse_volume(text: &str) -> Result<ShortVolume, String> {
    if text.is_empty() {
        return Err("a volume must not be empty".to_owned());
    }
    let mut volume = ShortVolume::default();
    if text.len() <= 2 {
        volume.target = clean_path(text);
        volume.is_short = true;
        return Ok(volume);
    }
    let parts = split(text);
    if parts.iter().any(|part| part.is_empty()) {
        return Err(format!("invalid volume {text:?}: empty section between colons"));
    }
    match parts[..] {
        [target] => volume.target = clean_path(target),
        [source, target] => {
            source.clone_into(&mut volume.source);
            volume.target = clean_path(target);
        }
        [source, target, options] => {
            source.clone_into(&mut volume.source);
            volume.target = clean_path(target);
            for option in options.split(',') {
                match option {
                    "ro" => volume.read_only = true,
                    "rw" => volume.read_only = false,
                    "nocopy" => volume.nocopy = true,
                    "rprivate" | "private" | "rshared" | "shared" | "rslave" | "slave" => {
                        volume.propagation = Some(option.to_owned());
                    }
                    "z" | "Z" => volume.selinux = Some(option.to_owned()),
                    _ => {}
                }
            }
        }
        _ => return Err(format!("invalid volume {text:?}: too many colons")),
    }
    Ok(volume)
}

/// At colons, but not inside `${…}`, which is there when variables are left alone.
fn split(text: &str) -> Vec<&str> {
    let (mut parts, mut start, mut depth) = (Vec::new(), 0, 0usize);
    let bytes = text.as_bytes();
    for (at, byte) in bytes.iter().enumerate() {
        match byte {
            b'$' if bytes.get(at + 1) == Some(&b'{') => depth += 1,
            b'}' => depth = depth.saturating_sub(1),
            b':' if depth == 0 => {
                parts.push(&text[start..at]);
                start = at + 1;
            }
            _ => {}
        }
    }
    parts.push(&text[start..]);
    parts
}

/// A path without `.`, `..` and double slashes, as far as its text tells.
pub(crate) fn clean_path(path: &str) -> String {
    if path.is_empty() {
        return String::new();
    }
    let rooted = path.starts_with('/');
    let mut parts: Vec<&str> = Vec::new();
    for part in path.split('/') {
        match part {
            "" | "." => {}
            ".." => match parts.last() {
                Some(&"..") => parts.push(part),
                Some(_) => {
                    parts.pop();
                }
                None if rooted => {}
                None => parts.push(part),
            },
            _ => parts.push(part),
        }
    }
    let joined = parts.join("/");
    match (rooted, joined.is_empty()) {
        (true, _) => format!("/{joined}"),
        (false, true) => ".".to_owned(),
        (false, false) => joined,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_short_form_has_up_to_three_parts() {
        let volume = parse_volume("./a:/b/../c/:ro,z,cached").unwrap();
        assert_eq!((volume.source.as_str(), volume.target.as_str()), ("./a", "/c"));
        assert!(volume.read_only && volume.is_bind());
        assert_eq!(volume.selinux.as_deref(), Some("z"));
        let volume = parse_volume("v:/a:nocopy").unwrap();
        assert!(volume.nocopy && !volume.is_bind());
        assert_eq!(volume.source, "v");
        assert_eq!(parse_volume("/data").unwrap().target, "/data");
        assert_eq!(parse_volume("/a").unwrap().source, "");
        assert_eq!(parse_volume("${A:-x}:/a").unwrap().source, "${A:-x}");
        for text in ["", "a::b", ":/a", "a:/b:ro:x", "a:"] {
            let result = parse_volume(text);
            assert!(result.is_err() || text.len() <= 2, "{text}: {result:?}");
        }
    }

    #[test]
    fn paths_are_cleaned_as_in_go() {
        for (path, clean) in [
            ("/a//b/./c/..", "/a/b"),
            ("../a/..", ".."),
            ("./", "."),
            ("/..", "/"),
            ("a/../..", ".."),
        ] {
            assert_eq!(clean_path(path), clean);
        }
    }
}
