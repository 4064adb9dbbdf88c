//! What JavaScript sees: memory, and three functions on it.
//!
//! The caller is trusted with its own memory, as every caller of a module is: it can write anywhere
//! in it anyway. What it writes *as a request* is not trusted.

#![allow(unsafe_code, reason = "exports that take pointers, and the allocator behind them")]

use alloc::{alloc::Layout, boxed::Box, vec::Vec};
use core::{
    alloc::GlobalAlloc,
    arch::wasm32::{memory_grow, memory_size, unreachable},
    cell::UnsafeCell,
    ptr::null_mut,
};

use crate::answer;

/// Room for `length` bytes.
#[unsafe(no_mangle)]
extern "C" fn casemate_alloc(length: usize) -> *mut u8 {
    Box::into_raw(alloc::vec![0; length].into_boxed_slice()).cast()
}

/// Frees what [`casemate_alloc`] or [`casemate_appraise`] gave.
///
/// # Safety
/// `pointer` is from one of them, with its whole `length`, and not freed yet.
#[unsafe(no_mangle)]
unsafe extern "C" fn casemate_free(pointer: *mut u8, length: usize) {
    // SAFETY: the caller's promise; both functions give boxed slices.
    drop(unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(pointer, length)) });
}

/// Takes a request, gives an answer: 4 bytes of length, then JSON.
///
/// # Safety
/// As for [`casemate_free`], with a `pointer` of [`casemate_alloc`].
#[unsafe(no_mangle)]
unsafe extern "C" fn casemate_appraise(pointer: *mut u8, length: usize) -> *mut u8 {
    // SAFETY: the caller's promise.
    let request = unsafe { Box::from_raw(core::ptr::slice_from_raw_parts_mut(pointer, length)) };
    let json = answer(&request);
    drop(request);
    let length = u32::try_from(json.len()).unwrap_or_default();
    let mut out = Vec::with_capacity(4 + json.len());
    out.extend_from_slice(&length.to_le_bytes());
    out.extend_from_slice(&json);
    Box::into_raw(out.into_boxed_slice()).cast()
}

/// Hands out memory from the end upwards, and has all of it back when nothing is in use any more:
/// after each answer that was freed.
struct Upwards(UnsafeCell<State>);

struct State {
    start: usize,
    next: usize,
    end: usize,
    in_use: usize,
}

// SAFETY: the target has no threads.
unsafe impl Sync for Upwards {}

#[global_allocator]
static ALLOCATOR: Upwards =
    Upwards(UnsafeCell::new(State { start: 0, next: 0, end: 0, in_use: 0 }));

const PAGE_BYTES: usize = 65_536;

// SAFETY: regions do not overlap, because `next` only moves past what is handed out, and back to
// where something that is free begins. Memory above the module's own comes from `memory_grow`.
unsafe impl GlobalAlloc for Upwards {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        // SAFETY: no threads, and nothing below calls the allocator.
        let state = unsafe { &mut *self.0.get() };
        let Some(place) = state.room(layout) else { return null_mut() };
        state.in_use += 1;
        place as *mut u8
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: as above.
        let state = unsafe { &mut *self.0.get() };
        state.in_use -= 1;
        if state.in_use == 0 {
            state.next = state.start;
        } else if pointer as usize + layout.size() == state.next {
            state.next = pointer as usize;
        }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, new_size: usize) -> *mut u8 {
        {
            // SAFETY: as above.
            let state = unsafe { &mut *self.0.get() };
            let place = pointer as usize;
            if place + layout.size() == state.next
                && let Some(next) = place.checked_add(new_size)
                && next <= state.end
            {
                state.next = next;
                return pointer;
            }
        }
        // SAFETY: the caller's promise: a size that is no overflow for this alignment.
        let new =
            unsafe { self.alloc(Layout::from_size_align_unchecked(new_size, layout.align())) };
        if !new.is_null() {
            // SAFETY: both are valid for the smaller size, and the new one is nobody else's.
            unsafe {
                core::ptr::copy_nonoverlapping(pointer, new, layout.size().min(new_size));
                self.dealloc(pointer, layout);
            }
        }
        new
    }
}

impl State {
    /// Where `layout` fits; `next` is behind it.
    fn room(&mut self, layout: Layout) -> Option<usize> {
        let place = self.next.checked_next_multiple_of(layout.align())?;
        let next = place.checked_add(layout.size())?;
        if self.end != 0 && next <= self.end {
            self.next = next;
            return Some(place);
        }
        let pages = (layout.size() + layout.align()).div_ceil(PAGE_BYTES).max(PAGES_MIN);
        let before = memory_grow(0, pages);
        if before == usize::MAX {
            return None;
        }
        let grown = before * PAGE_BYTES;
        if self.end != grown {
            // The first time, or the caller has grown the memory, too.
            (self.start, self.next) = (grown, grown);
        }
        self.end = memory_size(0) * PAGE_BYTES;
        let place = self.next.checked_next_multiple_of(layout.align())?;
        self.next = place.checked_add(layout.size())?;
        Some(place)
    }
}

/// 256 kB at once, so that not each small piece asks the engine.
const PAGES_MIN: usize = 4;

#[panic_handler]
fn panic(_: &core::panic::PanicInfo<'_>) -> ! {
    unreachable()
}
