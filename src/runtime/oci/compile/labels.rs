//! `process.apparmorProfile` and `process.selinuxLabel`: only where the kernel has what they ask for.

use std::ffi::CString;
use std::path::Path;

use oci_spec::runtime::Process;

use super::super::super::compile::{Unfit, text};
use super::super::error::Result;

/// What is written to which file of the process.
pub(super) fn of(process: &Process) -> Result<Vec<(CString, CString)>> {
    let mut labels = Vec::new();
    let given = |label: &Option<String>| label.clone().filter(|label| !label.is_empty());
    if let Some(profile) = given(process.apparmor_profile()) {
        if has_apparmor() {
            let file = if Path::new("/proc/self/attr/apparmor/exec").exists() {
                c"apparmor/exec"
            } else {
                c"exec"
            };
            labels.push((file.to_owned(), text(&format!("exec {profile}"))?));
        } else if profile != "unconfined" {
            let text = "process.apparmorProfile: AppArmor is not enabled on this host";
            return Err(Unfit(text.to_owned()).into());
        }
    }
    if let Some(label) = given(process.selinux_label()) {
        if !Path::new("/sys/fs/selinux/status").exists() {
            let text = "process.selinuxLabel: SELinux is not enabled on this host";
            return Err(Unfit(text.to_owned()).into());
        }
        labels.push((c"exec".to_owned(), text(&label)?));
    }
    Ok(labels)
}

/// Whether the kernel has AppArmor and it is on.
pub(in crate::runtime::oci) fn has_apparmor() -> bool {
    std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
        .is_ok_and(|text| text.trim() == "Y")
}
