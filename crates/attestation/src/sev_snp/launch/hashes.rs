//! The page with the hashes of kernel, initrd and command line.

use super::{PAGE, firmware::guid};
use alloc::{vec, vec::Vec};
use sha2::{Digest, Sha256};

const TABLE: [u8; 16] = guid(0x9438_d606_4f22_4cc9_b479_a793_d411_fd21);
const KERNEL: [u8; 16] = guid(0x4de7_9437_abd2_427f_b835_d5b1_72d2_045b);
const INITRD: [u8; 16] = guid(0x44ba_f731_3a2f_4bd7_9af1_41e2_9169_781d);
const COMMAND_LINE: [u8; 16] = guid(0x97d0_2dd8_bd20_4c94_aa78_e771_4d36_ab2a);
/// GUID, length and SHA-256.
const ENTRY_LEN: u16 = 50;
/// GUID, length and three entries.
const TABLE_LEN: u16 = 18 + 3 * ENTRY_LEN;

/// SHA-256 of what QEMU loads itself (`-kernel`, `-initrd`, `-append`).
#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub struct KernelHashes {
    /// Of the kernel image.
    pub kernel: [u8; 32],
    /// Of the initrd, or of nothing.
    pub initrd: [u8; 32],
    /// Of the command line and a zero byte.
    pub command_line: [u8; 32],
}

impl KernelHashes {
    /// Hashes the three. Without an initrd or a command line these are empty.
    pub fn of(kernel: &[u8], initrd: &[u8], command_line: &str) -> Self {
        let mut line = Sha256::new();
        line.update(command_line.as_bytes());
        line.update([0]);
        Self {
            kernel: Sha256::digest(kernel).into(),
            initrd: Sha256::digest(initrd).into(),
            command_line: line.finalize().into(),
        }
    }

    /// The page that holds the table at `table_gpa`; `None` if it would cross the page's end.
    pub(super) fn page(&self, table_gpa: u32) -> Option<Vec<u8>> {
        let mut table = Vec::with_capacity(usize::from(TABLE_LEN));
        table.extend_from_slice(&TABLE);
        table.extend_from_slice(&TABLE_LEN.to_le_bytes());
        // QEMU's order.
        for (id, hash) in
            [(COMMAND_LINE, &self.command_line), (INITRD, &self.initrd), (KERNEL, &self.kernel)]
        {
            table.extend_from_slice(&id);
            table.extend_from_slice(&ENTRY_LEN.to_le_bytes());
            table.extend_from_slice(hash);
        }
        let offset = usize::try_from(table_gpa).ok()? % PAGE;
        let mut page = vec![0; PAGE];
        page.get_mut(offset..offset.checked_add(table.len())?)?.copy_from_slice(&table);
        Some(page)
    }
}
