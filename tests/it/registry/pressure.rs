//! A budget for images that is too small, while images come, run and go from all sides.

use std::fs;
use std::path::Path;
use std::sync::RwLock;

use crate::support::Orca;
use crate::support::images::busybox_tar;

use super::server::Registry;

/// How many images there are, and what each has of its own.
const IMAGES: u8 = 6;
const OWN: usize = 2 << 20;

/// A little more than the kept image and one more take: all six would take three times as much.
const BUDGET: u64 = 20_000_000;

/// A root file system with busybox, and content that no other image has.
fn rootfs(number: u8) -> Vec<u8> {
    let mut busybox = tar::Archive::new(fs::File::open(busybox_tar()).unwrap());
    let mut archive = tar::Builder::new(Vec::new());
    for entry in busybox.entries().unwrap() {
        let entry = entry.unwrap();
        archive.append(&entry.header().clone(), entry).unwrap();
    }
    let mut state = u32::from(number) + 1;
    let own: Vec<u8> = std::iter::repeat_with(|| {
        state = state.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        state.to_be_bytes()[0]
    })
    .take(OWN)
    .collect();
    for (path, content) in [("own", own.as_slice()), ("number", number.to_string().as_bytes())] {
        let mut header = tar::Header::new_gnu();
        header.set_size(content.len() as u64);
        header.set_mode(0o644);
        header.set_cksum();
        archive.append_data(&mut header, path, content).unwrap();
    }
    archive.into_inner().unwrap()
}

/// An instance whose daemon has the budget, whoever starts it.
struct Bed {
    orca: Orca,
    registry: Registry,
    /// Held by all who bring an image and then use it: a person who removes all unused images in between
    /// gets what they ask for.
    bringing: RwLock<()>,
}

impl Bed {
    fn run(&self, args: &[&str]) -> (bool, String) {
        let output =
            self.orca.command(args).env("ORCA_MAX_SIZE", BUDGET.to_string()).output().unwrap();
        let said = [output.stdout, output.stderr].concat();
        (output.status.success(), String::from_utf8_lossy(&said).into_owned())
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let (good, said) = self.run(args);
        assert!(good, "{args:?}: {said}");
        said
    }

    #[track_caller]
    fn alone(&self, args: &[&str]) -> String {
        let _alone = self.bringing.write().unwrap();
        self.ok(args)
    }

    fn name(&self, number: u8) -> String {
        self.registry.name(&format!("image{number}:1"))
    }

    fn up(&self, stack: &str, number: u8) {
        let image = self.name(number);
        let text = format!(
            "name: {stack}\nservices:\n  web:\n    image: {image}\n    command: [sleep, inf]\n    stop_grace_period: 0s\n"
        );
        let file = self.orca.write(&format!("{stack}.yaml"), &text);
        self.ok(&["up", "-f", file.to_str().unwrap()]);
    }

    fn of(&self, stack: &str, args: &[&str]) -> String {
        let file = self.orca.files().join(format!("{stack}.yaml"));
        let (verb, rest) = args.split_first().unwrap();
        self.ok(&[&[*verb, "-f", file.to_str().unwrap()], rest].concat())
    }

    /// All files of what runs in a stack are there and right.
    #[track_caller]
    fn check(&self, stack: &str, number: u8) {
        let script = "cat /number; echo; wc -c < /own; md5sum < /own; ls -R /bin | wc -l";
        let said = self.of(stack, &["exec", "-T", "web", "sh", "-c", script]);
        let said: Vec<_> = said.lines().collect();
        assert_eq!(said[..2], [number.to_string(), OWN.to_string()], "{stack}");
    }
}

fn size(path: &Path) -> u64 {
    let Ok(meta) = fs::symlink_metadata(path) else { return 0 };
    if !meta.is_dir() {
        return meta.len();
    }
    fs::read_dir(path).into_iter().flatten().flatten().map(|entry| size(&entry.path())).sum()
}

#[test]
fn what_runs_and_what_is_kept_stays_whole_under_a_budget_that_is_too_small() {
    let bed = Bed { orca: Orca::new(), registry: Registry::start(), bringing: RwLock::default() };
    for number in 0..IMAGES {
        let tar = bed.orca.files().join(format!("{number}.tar"));
        bed.orca.write(&format!("{number}.tar"), "");
        fs::write(&tar, rootfs(number)).unwrap();
        let name = bed.name(number);
        bed.ok(&["image", "import", tar.to_str().unwrap(), &name]);
        bed.ok(&["image", "push", &name]);
        let archive = bed.orca.files().join(format!("{number}.image"));
        bed.ok(&["image", "save", "-o", archive.to_str().unwrap(), &name]);
    }
    bed.up("kept", 0);
    // Agreed on, but not running: its image is needed all the same.
    bed.up("stopped", 1);
    bed.of("stopped", &["stop"]);
    std::thread::scope(|scope| {
        for worker in 0..3_u8 {
            let bed = &bed;
            scope.spawn(move || {
                let stack = format!("worker{worker}");
                for round in 0..8_u8 {
                    let number = 2 + (worker + round) % (IMAGES - 2);
                    let (name, other) = (bed.name(number), bed.name(2 + (number + 1) % 4));
                    match round % 4 {
                        0 => drop(bed.ok(&["image", "pull", &other])),
                        1 => {
                            let archive = bed.orca.files().join(format!("{number}.image"));
                            bed.ok(&["image", "load", "-i", archive.to_str().unwrap()]);
                        }
                        2 => drop(bed.alone(&["image", "prune", "-a"])),
                        _ => drop(bed.alone(&["system", "prune", "-f", "--max-size", "1MB"])),
                    }
                    {
                        let _among_others = bed.bringing.read().unwrap();
                        bed.up(&stack, number);
                    }
                    bed.check(&stack, number);
                    bed.check("kept", 0);
                    let script = "cat /number && test $(wc -c < /own) = 2097152";
                    let said = bed.of(&stack, &["run", "--rm", "-T", "web", "sh", "-c", script]);
                    assert!(said.contains(&number.to_string()), "{said}");
                    if round % 2 == 0 {
                        bed.of(&stack, &["restart"]);
                        bed.check(&stack, number);
                    } else {
                        bed.of(&stack, &["down"]);
                    }
                    // In use by others or gone already: both are fine, and change nothing for them.
                    let _taken = bed.run(&["image", "rm", &name]);
                }
                bed.of(&stack, &["down"]);
            });
        }
    });
    bed.check("kept", 0);
    bed.of("stopped", &["start"]);
    bed.check("stopped", 1);
    bed.of("kept", &["restart"]);
    bed.check("kept", 0);
    // Those who have just come stay for a while; asked for, all goes that nothing needs.
    bed.ok(&["system", "prune", "-f", "--max-size", &BUDGET.to_string()]);
    let images = bed.orca.root().join("images");
    let on_disk = ["blobs", "layers"].iter().map(|name| size(&images.join(name))).sum::<u64>();
    assert!(on_disk <= BUDGET, "{on_disk}");
    super::killed::check(&bed.orca.root());
    for stack in ["kept", "stopped"] {
        bed.of(stack, &["down"]);
    }
}
