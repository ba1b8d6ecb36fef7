//! `linux.devices` and `linux.resources.devices`.

use oci_spec::runtime::{Linux, LinuxDevice, LinuxDeviceCgroup, LinuxDeviceType, LinuxResources};

use super::super::super::cgroup::{DEFAULT_DEVICES, DeviceKind, DeviceRule, DeviceRules};
use super::super::super::compile::{Unfit, path};
use super::super::super::plan::DevicePlan;
use super::super::error::Result;
use super::users::outside;
use crate::model::IdMaps;

/// The most of each.
const MOST: usize = 4096;

/// The nodes beside the usual ones.
pub(super) fn nodes(linux: &Linux, maps: Option<&IdMaps>) -> Result<Vec<DevicePlan>> {
    let devices = linux.devices().as_deref().unwrap_or_default();
    if devices.len() > MOST {
        return Err(Unfit(format!("there are more than {MOST} devices")).into());
    }
    let node = |device| node(device, maps);
    Ok(devices.iter().map(node).collect::<std::result::Result<_, _>>()?)
}

fn node(device: &LinuxDevice, maps: Option<&IdMaps>) -> std::result::Result<DevicePlan, Unfit> {
    let shown = device.path().display();
    if !device.path().is_absolute() {
        return Err(Unfit(format!("the device {shown} is not an absolute path")));
    }
    let kind = match device.typ() {
        LinuxDeviceType::C | LinuxDeviceType::U => libc::S_IFCHR,
        LinuxDeviceType::B => libc::S_IFBLK,
        LinuxDeviceType::P => libc::S_IFIFO,
        LinuxDeviceType::A => {
            return Err(Unfit(format!(
                "the device {shown} is of type a, which is for rules alone"
            )));
        }
    };
    let number = |number: i64| {
        u32::try_from(number)
            .map_err(|_| Unfit(format!("the device {shown} cannot have the number {number}")))
    };
    let (major, minor) = if kind == libc::S_IFIFO {
        (0, 0)
    } else {
        (number(device.major())?, number(device.minor())?)
    };
    // Without what may stand at its end: it is no directory.
    let place: std::path::PathBuf = device.path().components().collect();
    Ok(DevicePlan {
        path: path(&place)?,
        mode: kind | (device.file_mode().unwrap_or(0o666) & 0o7777),
        major,
        minor,
        uid: outside(maps, device.uid().unwrap_or(0), false)?,
        gid: outside(maps, device.gid().unwrap_or(0), true)?,
    })
}

/// What may be done with which devices: what the configuration says, and what every container may use.
pub(super) fn rules(resources: &LinuxResources) -> Result<DeviceRules> {
    let Some(listed) = resources.devices() else { return Ok(DeviceRules::default()) };
    if listed.len() > MOST {
        return Err(Unfit(format!("there are more than {MOST} rules for devices")).into());
    }
    let mut rules = vec![DeviceRule::everything(false)];
    for rule in listed {
        rules.push(self::rule(rule)?);
    }
    if rules
        .iter()
        .rfind(|rule| **rule == DeviceRule::everything(rule.allow))
        .is_some_and(|rule| !rule.allow)
    {
        // Without the first, which denies everything.
        rules.extend_from_slice(&DEFAULT_DEVICES[1..]);
    }
    Ok(DeviceRules(rules))
}

fn rule(rule: &LinuxDeviceCgroup) -> Result<DeviceRule> {
    let kind = match rule.typ() {
        None | Some(LinuxDeviceType::A) => None,
        Some(LinuxDeviceType::C | LinuxDeviceType::U) => Some(DeviceKind::Char),
        Some(LinuxDeviceType::B) => Some(DeviceKind::Block),
        Some(LinuxDeviceType::P) => {
            return Err(Unfit("a rule for devices cannot be about pipes".to_owned()).into());
        }
    };
    let number = |number: Option<i64>| match number {
        None | Some(-1) => Ok(None),
        Some(number) => u32::try_from(number)
            .map(Some)
            .map_err(|_| Unfit(format!("a rule for devices cannot have the number {number}"))),
    };
    let access = rule.access().as_deref().filter(|access| !access.is_empty()).unwrap_or("rwm");
    Ok(DeviceRule {
        allow: rule.allow(),
        kind,
        major: number(rule.major())?,
        minor: number(rule.minor())?,
        access: access.parse()?,
    })
}
