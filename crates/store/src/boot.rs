//! Which boot of the machine this is: what was written in this one is there whether or not it has reached the disk.

/// The kernel's id of this boot.
pub(crate) fn id() -> Option<String> {
    let id = std::fs::read_to_string("/proc/sys/kernel/random/boot_id").ok()?;
    Some(id.trim().to_owned()).filter(|id| !id.is_empty())
}
