//! Message ids: 24 hex digits in the layout of an ObjectId, so that both backends use the same form.

use std::sync::LazyLock;
use std::sync::atomic::{AtomicU32, Ordering};

use banter_stores::Millis;

static PROCESS: LazyLock<u64> = LazyLock::new(|| rand::random::<u64>() & 0xFF_FFFF_FFFF);
static COUNTER: LazyLock<AtomicU32> = LazyLock::new(|| AtomicU32::new(rand::random::<u32>() >> 8));

/// A new id: seconds since 1970, a random number of this process, a counter.
pub fn new(made: Millis) -> String {
    let seconds = (made / 1000) as u32;
    let count = COUNTER.fetch_add(1, Ordering::Relaxed) & 0xFF_FFFF;
    format!("{seconds:08x}{:010x}{count:06x}", *PROCESS)
}

pub fn is_valid(text: &str) -> bool {
    text.len() == 24 && text.bytes().all(|byte| byte.is_ascii_hexdigit())
}
