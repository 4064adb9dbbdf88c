//! Bounds how many connections there are at once.

use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// So many at once.
#[derive(Clone, Debug)]
pub(super) struct Slots(Arc<(Mutex<u16>, Condvar)>);

/// One of them, given back when dropped.
#[derive(Debug)]
pub(super) struct Slot(Slots);

impl Slots {
    pub(super) fn new(count: u16) -> Self {
        Self(Arc::new((Mutex::new(count), Condvar::new())))
    }

    /// Waits for one.
    pub(super) fn take(&self) -> Slot {
        let (free, freed) = &*self.0;
        let mut free = free.lock().unwrap_or_else(PoisonError::into_inner);
        while *free == 0 {
            free = freed.wait(free).unwrap_or_else(PoisonError::into_inner);
        }
        *free -= 1;
        Slot(self.clone())
    }

    /// Takes one where one is free.
    pub(super) fn try_take(&self) -> Option<Slot> {
        let mut free = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        *free = free.checked_sub(1)?;
        Some(Slot(self.clone()))
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let (free, freed) = &*self.0.0;
        *free.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        freed.notify_one();
    }
}
