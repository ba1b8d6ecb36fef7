//! Which numbers of the host's users are given out to containers.

use serde::{Deserialize, Serialize};

use super::users::{FIRST_USER, IdMaps, LAST_USER, USERS};

/// The name under which an administrator sets numbers aside for orca in `/etc/subuid` and
/// `/etc/subgid`.
const OWNER: &str = "orca";

/// The largest number of a user; the one above it means "no user".
const LARGEST: u32 = u32::MAX - 1;

/// Runs of numbers, first and last, that no other program was given. Each stack has a range of
/// [`USERS`] of them, the same for users and groups.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct UserPool(Vec<(u32, u32)>);

impl Default for UserPool {
    /// What systemd sets aside for containers of any kind.
    fn default() -> Self {
        Self(vec![(FIRST_USER, LAST_USER)])
    }
}

impl UserPool {
    /// What `/etc/subuid` and `/etc/subgid`, given as texts, leave: the numbers set aside for `orca` in
    /// both if there are any, else the default; in either case without those of others.
    ///
    /// # Errors
    /// If numbers are set aside for `orca` and none of them can be used.
    pub fn of_files(users: &str, groups: &str) -> Result<Self, String> {
        let (users, groups) = (entries(users), entries(groups));
        let own = |entries: &[Entry<'_>]| {
            let own = entries.iter().filter(|entry| entry.owner == OWNER);
            own.map(|entry| entry.run).collect::<Vec<_>>()
        };
        let (own_users, own_groups) = (own(&users), own(&groups));
        let chosen = !(own_users.is_empty() && own_groups.is_empty());
        let mut pool = if chosen { Self(common(&own_users, &own_groups)) } else { Self::default() };
        for entry in users.iter().chain(&groups).filter(|entry| entry.owner != OWNER) {
            pool.leave_out(entry.run);
        }
        if chosen && pool.firsts().next().is_none() {
            return Err(format!(
                "/etc/subuid and /etc/subgid set numbers aside for {OWNER}, but there are no {USERS} in a \
                 row in both files that are not somebody else's too"
            ));
        }
        Ok(pool)
    }

    /// The first numbers of the ranges, in order.
    pub fn firsts(&self) -> impl Iterator<Item = u32> {
        self.0.iter().flat_map(|(first, last)| {
            let starts = (*first..=*last).step_by(USERS as usize);
            starts.take_while(move |start| last - start >= USERS - 1)
        })
    }

    /// The first number of a range that touches none of those taken.
    pub fn free(&self, taken: &[u32]) -> Option<u32> {
        self.firsts().find(|first| taken.iter().all(|other| first.abs_diff(*other) >= USERS))
    }

    fn leave_out(&mut self, (first, last): (u32, u32)) {
        let runs = std::mem::take(&mut self.0).into_iter().flat_map(|run| {
            let before = (first > run.0).then(|| (run.0, run.1.min(first - 1)));
            let after = (last < run.1).then(|| (run.0.max(last + 1), run.1));
            [before, after].into_iter().flatten().filter(|(first, last)| first <= last)
        });
        self.0 = runs.collect();
    }
}

/// The first number of the range that was kept as `kept`. Builds before ranges could be chosen kept the
/// number of the range among those of the default; no first number is so small.
pub(super) fn first_of(kept: u32) -> u32 {
    if kept < USERS { IdMaps::first_of_numbered(kept) } else { kept }
}

/// A line of `/etc/subuid`: numbers that are somebody's.
struct Entry<'a> {
    owner: &'a str,
    run: (u32, u32),
}

/// The entries of a file. Lines of another shape mean nothing to any program.
fn entries(text: &str) -> Vec<Entry<'_>> {
    text.lines().filter_map(entry).collect()
}

fn entry(line: &str) -> Option<Entry<'_>> {
    let mut words = line.trim().split(':');
    let (owner, first, count) = (words.next()?, words.next()?, words.next()?);
    let (first, count) = (first.parse::<u32>().ok()?, count.parse::<u32>().ok()?);
    let last = first.saturating_add(count.checked_sub(1)?).min(LARGEST);
    (first <= last && !owner.starts_with('#')).then_some(Entry { owner, run: (first, last) })
}

/// The numbers that are in both. Those of the system's own users are in neither.
fn common(users: &[(u32, u32)], groups: &[(u32, u32)]) -> Vec<(u32, u32)> {
    let both = |a: &(u32, u32), b: &(u32, u32)| (a.0.max(b.0).max(USERS), a.1.min(b.1));
    let all = users.iter().flat_map(|user| groups.iter().map(move |group| both(user, group)));
    let mut runs: Vec<_> = all.filter(|(first, last)| first <= last).collect();
    runs.sort_unstable();
    runs.dedup();
    runs
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(users: &str, groups: &str) -> Vec<u32> {
        UserPool::of_files(users, groups).unwrap().firsts().collect()
    }

    #[test]
    fn without_files_the_ranges_are_those_that_systemd_sets_aside() {
        let all = pool("", "");
        assert_eq!(all.len(), 16384);
        assert_eq!((all[0], all[16383]), (FIRST_USER, LAST_USER + 1 - USERS));
    }

    #[test]
    fn numbers_of_others_are_left_out() {
        let others =
            format!("# a remark\n\nuser:100000:65536\ndockremap:{FIRST_USER}:65536\nbad\n");
        assert_eq!(pool(&others, "")[0], FIRST_USER + USERS);
        // Groups count as well, and so does a part of a range.
        assert_eq!(pool("", &format!("x:{}:1", FIRST_USER + 7))[0], FIRST_USER + 8);
        assert_eq!(pool("all:1:4294967294", ""), Vec::<u32>::new());
    }

    #[test]
    fn numbers_set_aside_for_orca_are_the_only_ones() {
        assert_eq!(pool("orca:200000:131072", "orca:200000:131072"), [200_000, 265_536]);
        assert_eq!(pool("orca:200000:131072", "orca:200000:131071"), [200_000]);
        let two = "orca:200000:65536\norca:400000:65536\n";
        assert_eq!(pool(two, two), [200_000, 400_000]);
        let shared = "orca:200000:131072\nuser:200000:65536\n";
        assert_eq!(pool(shared, "orca:200000:131072"), [265_536]);
    }

    #[test]
    fn numbers_set_aside_that_cannot_be_used_are_an_error() {
        for (users, groups) in [
            ("orca:200000:65536", ""),
            ("", "orca:200000:65536"),
            ("orca:200000:65535", "orca:200000:65535"),
            ("orca:200000:65536", "orca:400000:65536"),
            ("orca:0:65536", "orca:0:65536"),
            ("orca:200000:65536\nme:200000:1", "orca:200000:65536"),
        ] {
            let why = UserPool::of_files(users, groups).unwrap_err();
            assert!(why.contains("/etc/subuid"), "{users:?} {groups:?}: {why}");
        }
    }

    #[test]
    fn a_free_range_touches_none_that_is_taken() {
        let pool = UserPool::of_files("orca:200000:196608", "orca:200000:196608").unwrap();
        assert_eq!(pool.free(&[]), Some(200_000));
        // One of an earlier pool may lie across two.
        assert_eq!(pool.free(&[200_001]), Some(331_072));
        assert_eq!(pool.free(&[200_000, 331_072, 265_536]), None);
    }
}
