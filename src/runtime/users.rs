//! Who a container's program runs as: `user[:group]` looked up in the container's own
//! `/etc/passwd` and `/etc/group`, with Docker's meaning.
//!
//! The files come from an image and are hostile: they are bounded, and lines that make no sense are
//! passed over. A number is never looked up as a name, or an image could make user `1000` be root
//! (CVE-2016-3697, CVE-2026-30892).

use std::str;

/// The largest passwd or group file that is read, in bytes (CVE-2026-47262: files without end).
pub const MAX_FILE: usize = 4 << 20;
/// The largest id, as in Docker: greater ones are negative in programs that use a signed type
/// (CVE-2024-40635).
const MAX_ID: u32 = i32::MAX as u32;
/// The most groups the kernel takes (`NGROUPS_MAX`).
const MAX_GROUPS: usize = 65_536;

/// Who a program runs as.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct User {
    /// User id.
    pub uid: u32,
    /// Group id.
    pub gid: u32,
    /// Supplementary group ids, sorted, without `gid` unless a file or the user names it again.
    pub groups: Vec<u32>,
    /// Home directory; `/` when the user has no entry.
    pub home: String,
    /// Login name; `None` when the user has no entry.
    pub name: Option<String>,
}

/// A user that cannot be found.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum UserError {
    /// No entry of that name.
    #[error("there is no user {0:?} in the container's /etc/passwd")]
    NoUser(String),
    /// No entry of that name.
    #[error("there is no group {0:?} in the container's /etc/group")]
    NoGroup(String),
    /// An id the kernel or programs would misread.
    #[error("the id {0} is out of range: ids are 0 to {MAX_ID}")]
    Range(String),
    /// An id in a file of the image is out of range.
    #[error(
        "the entry of {0:?} in the container's /etc/passwd or /etc/group has an id out of range"
    )]
    EntryRange(String),
    /// The file is too large to be what it says.
    #[error("the container's {0} is larger than {MAX_FILE} bytes")]
    TooLarge(&'static str),
    /// More groups than a process can have.
    #[error("user {0:?} is in more than {MAX_GROUPS} groups")]
    TooManyGroups(String),
}

/// Finds `user` (`name`, `uid`, `name:group`, `uid:gid`; empty is root) in the contents of
/// `/etc/passwd` and `/etc/group`; an empty slice is a missing file.
///
/// Without a group, the group is that of the user's entry (0 if there is none), and every group
/// that lists the user's name is added. `groups` are added in any case.
///
/// # Errors
/// If a name is not there, an id is out of range, or a file is too large.
pub fn lookup(
    passwd: &[u8],
    group: &[u8],
    user: &str,
    groups: &[String],
) -> Result<User, UserError> {
    bound("/etc/passwd", passwd)?;
    bound("/etc/group", group)?;
    let (user, group_wanted) = user.split_once(':').unwrap_or((user, ""));
    let mut found = find_user(passwd, user)?;
    if group_wanted.is_empty() {
        found.groups = groups_of(group, &found)?;
    } else {
        found.gid = find_group(group, group_wanted)?;
    }
    for wanted in groups {
        found.groups.push(find_group(group, wanted)?);
    }
    found.groups.sort_unstable();
    found.groups.dedup();
    if found.groups.len() > MAX_GROUPS {
        return Err(UserError::TooManyGroups(user.to_owned()));
    }
    Ok(found)
}

fn bound(name: &'static str, file: &[u8]) -> Result<(), UserError> {
    if file.len() > MAX_FILE { Err(UserError::TooLarge(name)) } else { Ok(()) }
}

fn find_user(passwd: &[u8], wanted: &str) -> Result<User, UserError> {
    let wanted_id = if wanted.is_empty() { Some(0) } else { id(wanted)? };
    let entry = entries::<7>(passwd).find(|fields| match wanted_id {
        Some(uid) => fields[2].parse() == Ok(uid),
        None => fields[0] == wanted,
    });
    match (entry, wanted_id) {
        (Some([name, _, uid, gid, _, home, _]), _) => Ok(User {
            uid: entry_id(name, uid)?,
            gid: entry_id(name, gid)?,
            groups: Vec::new(),
            home: if home.is_empty() { "/" } else { home }.to_owned(),
            name: Some(name.to_owned()),
        }),
        (None, Some(uid)) => {
            Ok(User { uid, gid: 0, groups: Vec::new(), home: "/".to_owned(), name: None })
        }
        (None, None) => Err(UserError::NoUser(wanted.to_owned())),
    }
}

fn find_group(group: &[u8], wanted: &str) -> Result<u32, UserError> {
    if let Some(gid) = id(wanted)? {
        return Ok(gid);
    }
    let entry = entries::<4>(group).find(|[name, ..]| *name == wanted);
    match entry {
        Some([name, _, gid, _]) => entry_id(name, gid),
        None => Err(UserError::NoGroup(wanted.to_owned())),
    }
}

/// The groups that list the user's name.
fn groups_of(group: &[u8], user: &User) -> Result<Vec<u32>, UserError> {
    let Some(user) = &user.name else { return Ok(Vec::new()) };
    entries::<4>(group)
        .filter(|[_, _, _, members]| members.split(',').any(|member| member == user))
        .take(MAX_GROUPS + 1)
        .map(|[name, _, gid, _]| entry_id(name, gid))
        .collect()
}

/// The lines of a file that have a name and a number as their third field; fields missing at the
/// end are empty.
fn entries<const N: usize>(file: &[u8]) -> impl Iterator<Item = [&str; N]> {
    file.split(|byte| *byte == b'\n').filter_map(|line| {
        let line = str::from_utf8(line).ok()?.trim();
        let mut fields = [""; N];
        for (field, text) in fields.iter_mut().zip(line.splitn(N, ':')) {
            *field = text;
        }
        let numeric = !fields[2].is_empty() && fields[2].bytes().all(|byte| byte.is_ascii_digit());
        (!fields[0].is_empty() && !fields[0].starts_with('#') && numeric).then_some(fields)
    })
}

/// The number that `text` is; `None` if it is a name.
fn id(text: &str) -> Result<Option<u32>, UserError> {
    let digits = text.strip_prefix(['-', '+']).unwrap_or(text);
    if digits.is_empty() || !digits.bytes().all(|byte| byte.is_ascii_digit()) {
        return Ok(None);
    }
    match text.parse::<u32>() {
        Ok(id) if id <= MAX_ID => Ok(Some(id)),
        _ => Err(UserError::Range(text.to_owned())),
    }
}

fn entry_id(name: &str, text: &str) -> Result<u32, UserError> {
    match text.parse::<u32>() {
        Ok(id) if id <= MAX_ID => Ok(id),
        // Docker reads an empty group field as 0.
        _ if text.is_empty() => Ok(0),
        _ => Err(UserError::EntryRange(name.to_owned())),
    }
}

#[cfg(test)]
mod tests;
