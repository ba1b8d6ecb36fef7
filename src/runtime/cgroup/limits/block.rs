//! Block devices: from the paths a user writes to the numbers the kernel wants.

use std::fs;
use std::os::unix::fs::{FileTypeExt as _, MetadataExt as _};

use rustix::fs::{major, minor};

use super::CgroupError;

use crate::model::BlockResources;

/// Block limits with device numbers, as `major:minor`.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Block {
    /// 10 to 1000.
    pub(super) weight: Option<u16>,
    pub(super) weight_device: Vec<(String, u16)>,
    pub(super) read_bps: Vec<(String, u64)>,
    pub(super) write_bps: Vec<(String, u64)>,
    pub(super) read_iops: Vec<(String, u64)>,
    pub(super) write_iops: Vec<(String, u64)>,
}

pub(super) fn resolve(block: &BlockResources) -> Result<Block, CgroupError> {
    let weights = block.weight.iter().chain(block.weight_device.iter().map(|(_, weight)| weight));
    // Docker takes 0 as "not given".
    if let Some(weight) = weights.into_iter().find(|weight| !matches!(weight, 0 | 10..=1000)) {
        let text = format!("the block weight {weight} is out of range: weights are 10 to 1000");
        return Err(CgroupError::Invalid(text));
    }
    Ok(Block {
        weight: block.weight.filter(|weight| *weight > 0),
        weight_device: numbered(&block.weight_device)?,
        read_bps: numbered(&block.read_bps)?,
        write_bps: numbered(&block.write_bps)?,
        read_iops: numbered(&block.read_iops)?,
        write_iops: numbered(&block.write_iops)?,
    })
}

fn numbered<T: Copy>(devices: &[(String, T)]) -> Result<Vec<(String, T)>, CgroupError> {
    devices.iter().map(|(path, value)| Ok((number(path)?, *value))).collect()
}

/// `major:minor` of a device, given by path or already so.
fn number(path: &str) -> Result<String, CgroupError> {
    if let Some((major, minor)) = path.split_once(':')
        && major.parse::<u32>().is_ok()
        && minor.parse::<u32>().is_ok()
    {
        return Ok(path.to_owned());
    }
    let not_one = |source| CgroupError::Device { path: path.to_owned(), source };
    let found = fs::metadata(path).map_err(|error| not_one(Some(error)))?;
    if !found.file_type().is_block_device() {
        return Err(not_one(None));
    }
    Ok(format!("{}:{}", major(found.rdev()), minor(found.rdev())))
}
