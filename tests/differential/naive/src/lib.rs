//! One function, with the calling convention of Substrate's runtimes.

#![no_std]
// The convention hands over addresses.
#![allow(unsafe_code, clippy::missing_safety_doc)]

extern crate alloc;

use alloc::vec::Vec;
use core::{
    alloc::{GlobalAlloc, Layout},
    cell::UnsafeCell,
    sync::atomic::{AtomicUsize, Ordering},
};

use dcap_qvl::QuoteCollateralV3;
use parity_scale_codec::Decode;

/// More than a verification takes. Each call has an instance, and so an arena, of its own.
const ARENA_BYTES: usize = 4 << 20;

/// Gives memory and takes none back: cheaper than a runtime's allocator, which asks the host each
/// time, so nothing is held against the verifier here.
struct Arena {
    bytes: UnsafeCell<[u8; ARENA_BYTES]>,
    used: AtomicUsize,
}

// Wasm has one thread.
unsafe impl Sync for Arena {}

unsafe impl GlobalAlloc for Arena {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        let start = self.used.load(Ordering::Relaxed).next_multiple_of(layout.align().max(16));
        let end = start + layout.size();
        if end > ARENA_BYTES {
            return core::ptr::null_mut();
        }
        self.used.store(end, Ordering::Relaxed);
        unsafe { self.bytes.get().cast::<u8>().add(start) }
    }

    unsafe fn dealloc(&self, _: *mut u8, _: Layout) {}
}

#[global_allocator]
static ARENA: Arena = Arena { bytes: UnsafeCell::new([0; ARENA_BYTES]), used: AtomicUsize::new(0) };

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    core::arch::wasm32::unreachable()
}

/// Takes `(quote, collateral, now, verify)` in SCALE; gives one byte: whether the quote verifies. With
/// `verify` false it stops before the verification, to show what the rest of a call takes.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn naive(data: *const u8, length: usize) -> u64 {
    let mut input = unsafe { core::slice::from_raw_parts(data, length) };
    let decoded = <(Vec<u8>, QuoteCollateralV3, u64, bool)>::decode(&mut input);
    let good = decoded.is_ok_and(|(quote, collateral, now, verify)| {
        !verify || dcap_qvl::verify::rustcrypto::verify(&quote, &collateral, now).is_ok()
    });
    let answer = alloc::boxed::Box::leak(alloc::boxed::Box::new([u8::from(good)]));
    (1 << 32) | answer.as_ptr() as u64
}
