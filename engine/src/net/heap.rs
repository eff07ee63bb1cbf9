//! Gives back to the system what the allocator keeps for later.
//!
//! An allocator frees nothing to the system by itself while its thread is idle, and a worker that
//! takes nobody because memory is short is idle: it would wait for ever for what it has itself.

/// Has the allocator give back what this thread does not use. Takes up to milliseconds; where the
/// process has another allocator than the binary's, it finds nothing to do.
pub(crate) fn give_back() {
    // SAFETY: takes no pointers, and frees only pages on which nothing is allocated.
    unsafe { libmimalloc_sys::mi_collect(true) };
}
