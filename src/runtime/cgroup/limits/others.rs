//! What only the runtime specification asks for: huge pages, networks, RDMA, and files as they are.

use super::{Cgroup, CgroupError, Version, Write};

use crate::model::Resources;

/// The files and their values.
pub(super) fn writes(
    cgroup: &Cgroup,
    resources: &Resources,
    writes: &mut Vec<Write>,
) -> Result<(), CgroupError> {
    for (size, limit) in &resources.hugepages {
        writes.extend(hugepages(cgroup, size, *limit));
    }
    if let Some(class) = resources.network_class {
        writes.push(Write::new("net_cls", "net_cls.classid", class));
    }
    for (interface, priority) in &resources.network_priorities {
        let value = format!("{interface} {priority}");
        writes.push(Write::new("net_prio", "net_prio.ifpriomap", value));
    }
    for (device, (handles, objects)) in &resources.rdma {
        let handles = handles.map(|most| format!(" hca_handle={most}"));
        let objects = objects.map(|most| format!(" hca_object={most}"));
        let value = format!("{device}{}{}", text(handles), text(objects));
        writes.push(Write::new("rdma", "rdma.max", value));
    }
    unified(cgroup, resources, writes)
}

fn text(part: Option<String>) -> String {
    part.unwrap_or_default()
}

/// The reserved pages as well, as runc does: otherwise a program could reserve more than it may use.
fn hugepages(cgroup: &Cgroup, size: &str, limit: i64) -> [Write; 2] {
    let version = cgroup.dir("hugetlb").map_or(Version::V2, |dir| dir.version);
    let unlimited = limit < 0;
    let (plain, reserved) = match version {
        Version::V1 => ("limit_in_bytes", "rsvd.limit_in_bytes"),
        Version::V2 => ("max", "rsvd.max"),
    };
    let value = match (unlimited, version) {
        (true, Version::V1) => i64::MAX.to_string(),
        (true, Version::V2) => "max".to_owned(),
        (false, _) => limit.to_string(),
    };
    [
        Write::new("hugetlb", format!("hugetlb.{size}.{plain}"), &value),
        Write::new("hugetlb", format!("hugetlb.{size}.{reserved}"), &value).optional(),
    ]
}

/// Files of version 2, whose names the user wrote: they lead nowhere else.
fn unified(
    cgroup: &Cgroup,
    resources: &Resources,
    writes: &mut Vec<Write>,
) -> Result<(), CgroupError> {
    for (file, value) in &resources.unified {
        let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
        let controller = file.split('.').next().unwrap_or_default();
        if !file.contains('.') || !file.bytes().all(plain) || file.contains("..") {
            let text = format!("{file:?} is not the name of a file of cgroup v2");
            return Err(CgroupError::Invalid(text));
        }
        let known = ["cpuset", "cpu", "io", "memory", "pids", "hugetlb", "rdma", "misc"];
        let known = known.into_iter().find(|known| *known == controller);
        let in_v2 =
            known.and_then(|known| cgroup.dir(known)).filter(|dir| dir.version == Version::V2);
        match (known, in_v2) {
            (Some(known), Some(_)) => writes.push(Write::new(known, file.clone(), value)),
            _ => {
                return Err(CgroupError::Missing {
                    file: file.clone(),
                    value: value.clone(),
                    reason: "this host has no such controller in cgroup v2".to_owned(),
                });
            }
        }
    }
    Ok(())
}
