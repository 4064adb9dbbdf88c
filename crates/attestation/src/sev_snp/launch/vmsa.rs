//! The page of registers with which a virtual processor starts (AMD APM volume 2, table B-4).

use super::{CpuSignature, PAGE, Vmm};
use alloc::{vec, vec::Vec};

/// Where the first processor starts: the x86 reset vector.
pub(super) const FIRST_EIP: u32 = 0xffff_fff0;

/// The page for a processor that starts at `eip`.
pub(super) fn page(eip: u32, features: u64, cpu: CpuSignature, vmm: Vmm) -> Vec<u8> {
    // Code, stack and task segment attributes, RDX, MXCSR, x87 control word.
    let (cs, ss, tr, rdx, mxcsr, fcw) = match vmm {
        Vmm::Qemu => (0x9b, 0x93, 0x8b, cpu.0, 0x1f80_u32, 0x37f_u16),
        Vmm::Ec2 if eip == FIRST_EIP => (0x9a, 0x92, 0x83, 0x600, 0, 0),
        Vmm::Ec2 => (0x9b, 0x92, 0x83, 0x600, 0, 0),
        Vmm::Gce => (0x9b, 0x93, 0x8b, 0x600, 0, 0),
    };
    let g_pat: u64 = match vmm {
        Vmm::Gce => 0x0007_0106,
        Vmm::Qemu | Vmm::Ec2 => 0x0007_0406_0007_0406,
    };
    let mut page = Page(vec![0; PAGE]);
    page.segment(0x00, 0, 0x93, 0xffff, 0); // ES
    page.segment(0x10, 0xf000, cs, 0xffff, eip & 0xffff_0000);
    page.segment(0x20, 0, ss, 0xffff, 0);
    for data in [0x30, 0x40, 0x50] {
        page.segment(data, 0, 0x93, 0xffff, 0); // DS, FS, GS
    }
    page.segment(0x60, 0, 0, 0xffff, 0); // GDTR
    page.segment(0x70, 0, 0x82, 0xffff, 0); // LDTR
    page.segment(0x80, 0, 0, 0xffff, 0); // IDTR
    page.segment(0x90, 0, tr, 0xffff, 0);
    page.put(0xd0, &0x1000_u64.to_le_bytes()); // EFER: KVM sets SVME
    page.put(0x148, &0x40_u64.to_le_bytes()); // CR4: KVM sets MCE
    page.put(0x158, &0x10_u64.to_le_bytes()); // CR0
    page.put(0x160, &0x400_u64.to_le_bytes()); // DR7
    page.put(0x168, &0xffff_0ff0_u64.to_le_bytes()); // DR6
    page.put(0x170, &2_u64.to_le_bytes()); // RFLAGS
    page.put(0x178, &u64::from(eip & 0xffff).to_le_bytes()); // RIP
    page.put(0x268, &g_pat.to_le_bytes());
    page.put(0x310, &u64::from(rdx).to_le_bytes());
    page.put(0x3b0, &features.to_le_bytes());
    page.put(0x3e8, &1_u64.to_le_bytes()); // XCR0
    page.put(0x408, &mxcsr.to_le_bytes());
    page.put(0x410, &fcw.to_le_bytes());
    page.0
}

struct Page(Vec<u8>);

impl Page {
    fn put(&mut self, at: usize, bytes: &[u8]) {
        for (to, from) in self.0.iter_mut().skip(at).zip(bytes) {
            *to = *from;
        }
    }

    fn segment(&mut self, at: usize, selector: u16, attributes: u16, limit: u32, base: u32) {
        self.put(at, &selector.to_le_bytes());
        self.put(at + 2, &attributes.to_le_bytes());
        self.put(at + 4, &limit.to_le_bytes());
        self.put(at + 8, &u64::from(base).to_le_bytes());
    }
}
