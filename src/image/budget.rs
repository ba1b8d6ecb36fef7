//! Which images go so that the rest takes no more room than it may. Pure: what is there is handed in.

use std::collections::BTreeMap;
use std::time::Duration;

/// How much room images may take, and how long unused ones stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Budget {
    /// Bytes of all blobs and layers together. What is needed stays even if it takes more.
    pub max_size: Option<u64>,
    /// Images that nothing has used for longer go.
    pub max_age: Option<Duration>,
}

/// An image as far as it matters here.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Weighed<P> {
    /// Whether it may go: nothing needs it.
    pub(super) free: bool,
    /// Whether it has a name.
    pub(super) named: bool,
    /// How long ago it was used last.
    pub(super) age: Duration,
    /// Its blobs and layers, which others may have too.
    pub(super) parts: Vec<P>,
}

/// The images to remove, by their place in `images`: those that are too old, then those without a
/// name, then the ones that were used longest ago, until what stays fits. `sizes` has the bytes of
/// every part, also of those that belong to no image.
pub(super) fn choose<P: Ord>(
    images: &[Weighed<P>],
    sizes: &BTreeMap<P, u64>,
    budget: Budget,
) -> Vec<usize> {
    let mut users: BTreeMap<&P, usize> = BTreeMap::new();
    for part in images.iter().flat_map(|image| &image.parts) {
        *users.entry(part).or_default() += 1;
    }
    let mut total: u64 = sizes.values().sum();
    let mut order: Vec<usize> = (0..images.len()).filter(|at| images[*at].free).collect();
    let too_old = |at: usize| budget.max_age.is_some_and(|most| images[at].age > most);
    order.sort_by_key(|at| {
        let Weighed { named, age, .. } = &images[*at];
        (!too_old(*at), *named, std::cmp::Reverse(*age))
    });
    let mut going = Vec::new();
    for at in order {
        let too_large = budget.max_size.is_some_and(|most| total > most);
        if !too_old(at) && !too_large {
            break;
        }
        for part in &images[at].parts {
            let left = users.entry(part).or_default();
            *left = left.saturating_sub(1);
            if *left == 0 {
                total = total.saturating_sub(sizes.get(part).copied().unwrap_or(0));
            }
        }
        going.push(at);
    }
    going
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use proptest::prelude::*;

    use super::{Budget, Weighed, choose};

    const HOUR: u64 = 3600;

    fn image(free: bool, named: bool, hours: u64, parts: &[&'static str]) -> Weighed<&'static str> {
        let age = Duration::from_secs(hours * HOUR);
        Weighed { free, named, age, parts: parts.to_vec() }
    }

    fn sizes() -> BTreeMap<&'static str, u64> {
        BTreeMap::from([("base", 100), ("a", 10), ("b", 20), ("c", 30)])
    }

    fn check(images: &[Weighed<&'static str>], budget: Budget, going: &[usize]) {
        assert_eq!(choose(images, &sizes(), budget), going);
    }

    fn size(max: u64) -> Budget {
        Budget { max_size: Some(max), ..Budget::default() }
    }

    #[test]
    fn the_longest_unused_goes_first_and_no_more_than_must() {
        let images = [
            image(true, true, 1, &["base", "a"]),
            image(true, true, 9, &["base", "b"]),
            image(true, true, 5, &["base", "c"]),
        ];
        check(&images, Budget::default(), &[]);
        check(&images, size(160), &[]);
        check(&images, size(159), &[1]);
        check(&images, size(139), &[1, 2]);
        // The base goes with the last image that has it.
        check(&images, size(109), &[1, 2, 0]);
        check(&images, size(0), &[1, 2, 0]);
    }

    #[test]
    fn what_is_needed_stays_and_what_has_no_name_goes_before_the_rest() {
        let images = [
            image(false, true, 99, &["base", "a"]),
            image(true, true, 50, &["b"]),
            image(true, false, 1, &["c"]),
        ];
        check(&images, size(150), &[2]);
        check(&images, size(0), &[2, 1]);
    }

    #[test]
    fn old_images_go_even_if_there_is_room() {
        let images = [
            image(true, true, 30, &["a"]),
            image(true, true, 10, &["b"]),
            image(false, true, 99, &["c"]),
        ];
        let budget = Budget { max_age: Some(Duration::from_secs(24 * HOUR)), max_size: None };
        check(&images, budget, &[0]);
        check(&images, Budget { max_size: Some(0), ..budget }, &[0, 1]);
    }

    proptest! {
        #[test]
        fn what_stays_fits_or_is_needed(
            images in prop::collection::vec(
                (any::<bool>(), any::<bool>(), 0..100_u64, prop::collection::vec(0..8_u32, 0..4)),
                0..10,
            ),
            max in 0..1000_u64,
        ) {
            let images: Vec<Weighed<u32>> = images
                .into_iter()
                .map(|(free, named, age, parts)| Weighed {
                    free, named, age: Duration::from_secs(age), parts,
                })
                .collect();
            let sizes: BTreeMap<u32, u64> = images
                .iter()
                .flat_map(|image| image.parts.iter().map(|part| (*part, u64::from(*part) * 50 + 1)))
                .collect();
            let going = choose(&images, &sizes, size(max));
            prop_assert!(going.iter().all(|at| images[*at].free));
            let stays = |at: usize| !going.contains(&at);
            let parts: std::collections::BTreeSet<u32> = images
                .iter()
                .enumerate()
                .filter(|(at, _)| stays(*at))
                .flat_map(|(_, image)| image.parts.iter().copied())
                .collect();
            let left: u64 = parts.iter().map(|part| sizes[part]).sum();
            let free_left = images.iter().enumerate().any(|(at, image)| image.free && stays(at));
            prop_assert!(left <= max || !free_left);
        }
    }
}
