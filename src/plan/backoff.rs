//! How long to wait before the next attempt.

use std::time::Duration;

use sha2::{Digest as _, Sha256};

use crate::model::{AttemptId, RestartPolicy};

/// The wait before `attempt`, which follows the `fails`-th failure in a row. The first restart is
/// immediate; the wait begins with the second failure and doubles up to the policy's longest.
///
/// It varies by a tenth, so that what failed together does not come back together.
pub(super) fn wait(policy: &RestartPolicy, fails: u32, attempt: AttemptId) -> Duration {
    let Some(doublings) = fails.checked_sub(2) else { return Duration::ZERO };
    let longest = policy.max_delay.unwrap_or(RestartPolicy::MAX_DELAY);
    let first = policy.delay.unwrap_or(RestartPolicy::DELAY);
    let wait = first.saturating_mul(2_u32.saturating_pow(doublings)).min(longest);
    // 900 to 1100 thousandths.
    let thousandths = 900 + u32::try_from(hash(&attempt.to_string()) % 201).unwrap_or(100);
    wait / 1000 * thousandths
}

/// Eight bytes of the SHA-256 of `text`: the planner's only dice.
pub(super) fn hash(text: &str) -> u64 {
    let digest = Sha256::digest(text);
    digest.iter().take(8).fold(0, |number, byte| number << 8 | u64::from(*byte))
}
